"""Many tasks through few workers, and one plan measured on all of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from autosearch._typing import Rows
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.workers.base import Executor, Job, Outcome, Task

__all__ = ["Collected", "Stopped", "collect", "run_tasks"]

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
    outcomes = {one.id: one for one in run_tasks(executor, tasks, stopping=stopping)}
    if len(outcomes) < len(tasks):
        raise Stopped
    cost = sum(outcome.forward_equivalents for outcome in outcomes.values())
    nominal = plan.forward_equivalents * len(blocks) * block_size
    reasons = [outcome.reason for outcome in outcomes.values() if outcome.reason]
    if reasons:
        return Collected({}, cost, nominal, reasons[0])
    ordered = [outcomes[number].rows for number in range(len(parts))]
    rows = {need: np.concatenate([part[need] for part in ordered]) for need in tasks[0].needs}
    seconds = sum(outcome.seconds for outcome in outcomes.values())
    return Collected(rows, cost, nominal, seconds=seconds)


def run_tasks(
    executor: Executor,
    tasks: Iterable[Job],
    *,
    ahead: int = 2,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Submit tasks in their order and yield outcomes as they arrive.

    Args:
        executor: who runs them.
        tasks: what to run.
        ahead: how many tasks each worker has at most, running and waiting; so few that little
            is left to wait for when asked to stop.
        stopping: begins nothing more once it says so. What was begun is still waited for.
    """
    waiting = deque(tasks)
    pending = 0
    while True:
        while waiting and pending < ahead * executor.size and not stopping():
            executor.submit(waiting.popleft())
            pending += 1
        if not pending:
            return
        for outcome in executor.wait():
            pending -= 1
            yield outcome
