"""What passes between the search and whoever evaluates: plain data both ways."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.plan import Plan

__all__ = ["Evaluator", "EvaluatorFactory", "Executor", "Infeasible", "Outcome", "Task"]


@dataclass(frozen=True)
class Task:
    """Sample one plan on some seed blocks and return rows of what the objectives need.

    Where gates decide what a sample computes, that is recorded too: rows of ``macs`` [N]. A task
    that needs ``latency`` is timed instead, once for each of its blocks.
    """

    id: int
    plan: Plan
    seed: int
    stream: Stream
    blocks: tuple[int, ...]
    block_size: int
    needs: frozenset[str]

    def __post_init__(self) -> None:
        if self.plan.gated and self.needs and "latency" not in self.needs:
            object.__setattr__(self, "needs", self.needs | {"macs"})


class Infeasible(Exception):
    """The plan cannot be measured, for a reason that is the plan's own."""


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    ``rows`` maps each need to an array whose first axis runs over the samples of all blocks in
    index order; empty when ``reason`` is not None.
    ``forward_equivalents`` counts what was executed, also when the result is infeasible.
    """

    id: int
    rows: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    reason: str | None = None
    forward_equivalents: float = 0.0
    seconds: float = 0.0
    worker: str = ""


class Evaluator(ABC):
    """Holds one model; pure: the rows depend on the task alone."""

    @abstractmethod
    def evaluate(self, task: Task) -> Outcome:
        """Run one task.

        Raises:
            Infeasible: for non-finite samples and the like; the executor makes it an outcome.
        """


# Called without arguments inside the worker, so that a model is built there and never travels.
EvaluatorFactory = Callable[[], Evaluator]


class Executor(ABC):
    """Runs tasks, a few at a time. Used as a context manager."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many tasks run at the same time."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Queue a task."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        """Outcomes that have arrived, at least one unless nothing is queued or time is up."""

    @abstractmethod
    def close(self) -> None:
        """Release workers; queued tasks are dropped."""

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
