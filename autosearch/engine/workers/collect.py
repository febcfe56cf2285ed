"""Measuring a few plans outside the search: reference, teacher, validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.workers.base import Executor, Outcome, Task
from autosearch.engine.workers.streamed import streamed

__all__ = ["Collected", "Stopped", "collect"]

Rows = Mapping[str, NDArray[np.generic]]

# Seed blocks in one task, whoever runs it: a store finds them again for other workers too.
_PART = 2


class Stopped(Exception):
    """Asked to stop before all was measured; what was begun is done, and in the store."""


@dataclass(frozen=True)
class Collected:
    """Rows of one plan on all its blocks, what they cost, and would have without a store.

    ``seconds`` are the workers' own, added up.
    """

    rows: Rows
    forward_equivalents: float
    nominal: float
    reason: str | None = None
    seconds: float = 0.0


def collect(
    executor: Executor,
    plan: Plan,
    *,
    seed: int,
    stream: Stream,
    blocks: Sequence[int],
    block_size: int,
    needs: frozenset[str],
    stopping: Callable[[], bool] = lambda: False,
) -> Collected:
    """Measure one plan, its blocks spread over the workers, rows in index order.

    Raises:
        Stopped: when ``stopping`` says so before everything was begun.
    """
    if not needs:
        return Collected({}, 0.0, 0.0)
    parts = [tuple(blocks[i : i + _PART]) for i in range(0, len(blocks), _PART)]
    tasks = [
        Task(number, plan, seed, stream, part, block_size, needs)
        for number, part in enumerate(parts)
    ]
    outcomes = _outcomes(executor, tasks, stopping)
    cost = sum(outcome.forward_equivalents for outcome in outcomes.values())
    nominal = plan.forward_equivalents * len(blocks) * block_size
    reasons = [outcome.reason for outcome in outcomes.values() if outcome.reason]
    if reasons:
        return Collected({}, cost, nominal, reasons[0])
    ordered = [outcomes[number].rows for number in range(len(parts))]
    rows = {need: np.concatenate([part[need] for part in ordered]) for need in tasks[0].needs}
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    return Collected(rows, cost, nominal, seconds=seconds)


def _outcomes(
    executor: Executor, tasks: Sequence[Task], stopping: Callable[[], bool]
) -> dict[int, Outcome]:
    """By id."""
    outcomes = {one.id: one for one in streamed(executor, tasks, stopping=stopping)}
    if len(outcomes) < len(tasks):
        raise Stopped
    return outcomes
