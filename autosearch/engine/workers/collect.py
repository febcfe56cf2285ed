"""Many tasks through few workers, and one plan measured on all of them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.workers.base import Executor, Outcome, SampleTask, Task
from autosearch.errors import Unmeasured, UserError

__all__ = ["Stopped", "collect", "require", "run_tasks"]

# Seed blocks in one task, whoever runs it: a store finds them again for other workers too.
_PART = 2


class Stopped(Exception):
    """Asked to stop before all was measured; what was begun is done, and in the store."""


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
) -> Outcome:
    """Measure one plan, its blocks spread over the workers, rows in index order.

    Returns:
        Rows [samples, ...], what they cost and would have without a store, and the seconds of all
        workers together; a reason and no rows where a block cannot be measured.

    Raises:
        Stopped: when ``stopping`` says so before everything was begun.
    """
    if not needs:
        return Outcome(0)
    parts = [tuple(blocks[i : i + _PART]) for i in range(0, len(blocks), _PART)]
    tasks = [
        SampleTask(number, plan, seed, stream, part, block_size, needs)
        for number, part in enumerate(parts)
    ]
    outcomes = {one.id: one for one in run_tasks(executor, tasks, stopping=stopping)}
    if len(outcomes) < len(tasks):
        raise Stopped
    without = next((outcome for outcome in outcomes.values() if outcome.reason), None)
    ordered = [outcomes[number].rows for number in range(len(parts))]
    names = () if without else tasks[0].returns
    return Outcome(
        id=0,
        rows={name: np.concatenate([part[name] for part in ordered]) for name in names},
        reason=None if without is None else without.reason,
        failure=None if without is None else without.failure,
        forward_equivalents=sum(outcome.forward_equivalents for outcome in outcomes.values()),
        nominal=plan.forward_equivalents * len(blocks) * block_size,
        seconds=sum(outcome.seconds for outcome in outcomes.values()),
    )


def run_tasks(
    executor: Executor,
    tasks: Iterable[Task],
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


def require(name: str, outcome: Outcome) -> None:
    """Refuse an outcome without rows.

    Args:
        name: of the recipe, for messages.
        outcome: what came of it.

    Raises:
        Unmeasured: where the machinery failed.
        UserError: where the recipe does not allow it.
    """
    if outcome.failure is not None:
        raise Unmeasured(f"{name}: was not measured: {outcome.reason}; try again")
    if outcome.reason is not None:
        raise UserError(f"{name}: cannot be measured: {outcome.reason}; change its steps")
