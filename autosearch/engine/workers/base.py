"""Tasks, outcomes, and the interfaces of evaluators and executors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.errors import Infeasible

__all__ = [
    "DelegatingExecutor",
    "Evaluator",
    "EvaluatorFactory",
    "Executor",
    "Failure",
    "FitTask",
    "Outcome",
    "SampleTask",
    "Task",
    "TimingTask",
]


@dataclass(frozen=True)
class SampleTask:
    """Sample one plan on some seed blocks and return rows of what the objectives need."""

    id: int
    plan: Plan
    seed: int
    stream: Stream
    blocks: tuple[int, ...]
    block_size: int
    needs: frozenset[str]

    @property
    def returns(self) -> frozenset[str]:
        """The rows of the outcome: where gates decide what is computed, ``macs`` [N] too."""
        return self.needs | {"macs"} if self.plan.gated and self.needs else self.needs

    @property
    def nominal(self) -> float:
        """Forward equivalents of a task that runs to its end.

        Charged where nobody can say how far it came: after an exception or a worker's death.
        """
        return self.plan.cost(len(self.blocks) * self.block_size)


@dataclass(frozen=True)
class TimingTask:
    """Sample one seed block ``runs`` times, and once before that to warm up.

    The outcome has rows of ``latency`` [runs]: seconds of one sample.
    """

    id: int
    plan: Plan
    runs: int
    block_size: int

    @property
    def nominal(self) -> float:
        """Forward equivalents of a task that runs to its end."""
        return self.plan.cost((self.runs + 1) * self.block_size)


@dataclass(frozen=True)
class FitTask:
    """Measure the model and return the recipe of a baseline's name that is fitted to it.

    ``forwards``: about how many forwards of one sample that takes; it is known when it is done.
    """

    id: int
    name: str
    seed: int
    forwards: float = 0.0

    @property
    def nominal(self) -> float:
        """About the forward equivalents of a task that runs to its end."""
        return self.forwards


Task = SampleTask | TimingTask | FitTask


# What went wrong with the machinery: it says nothing about the task.
Failure = Literal["worker", "time", "memory", "raised"]


@dataclass(frozen=True)
class Outcome:
    """The result of a task: rows of its samples, or a reason why there are none.

    ``rows`` maps each need to an array [samples, ...], the samples of all blocks in index
    order; empty when ``reason`` is not None. ``recipe`` is what a fit found, as plain data, and
    ``files`` the artifacts that it refers to, or that were made for the plan, by key.
    ``forward_equivalents`` counts what was executed, also when the result is infeasible, and
    ``nominal`` what it takes where nothing is at hand. ``failure`` says that the reason is the
    machinery's and not the plan's: its worker died or took too long, memory ran out, or the
    evaluator raised what nobody foresaw.
    """

    id: int
    rows: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    recipe: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    reason: str | None = None
    failure: Failure | None = None
    forward_equivalents: float = 0.0
    nominal: float = 0.0
    seconds: float = 0.0
    worker: str = ""


class Evaluator(ABC):
    """Holds one model; pure: but for times, what comes back depends on the task alone."""

    def run(self, task: Task) -> Outcome:
        """Do what a task asks for.

        Raises:
            Infeasible: when that cannot be done.
        """
        match task:
            case SampleTask():
                return self.evaluate(task)
            case TimingTask():
                return self.time(task)
            case FitTask():
                return self.fit(task)

    @abstractmethod
    def evaluate(self, task: SampleTask) -> Outcome:
        """Sample a plan.

        Raises:
            Infeasible: for non-finite samples and the like; the executor makes it an outcome.
        """

    def time(self, task: TimingTask) -> Outcome:
        """Time a plan; by default what is evaluated takes no time that could be told."""
        raise Infeasible("what is evaluated here cannot be timed")

    def fit(self, task: FitTask) -> Outcome:
        """Fit a recipe to the model; by default there is none to fit to."""
        raise Infeasible("nothing can be fitted to what is evaluated here")


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

    def limit(self, most: int) -> None:  # noqa: B027  # a fixed number of workers has no use for it
        """Have no more workers than so many, even if there is room for them later."""

    @abstractmethod
    def close(self) -> None:
        """Release workers; queued tasks are dropped."""

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class DelegatingExecutor(Executor):
    """Hands everything on to ``inner``; subclasses change what they are for."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    @property
    def size(self) -> int:
        return self._inner.size

    def submit(self, task: Task) -> None:
        self._inner.submit(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        return self._inner.wait(timeout)

    def limit(self, most: int) -> None:
        self._inner.limit(most)

    def close(self) -> None:
        self._inner.close()
