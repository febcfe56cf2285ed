"""Many tasks through few workers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from autosearch.engine.workers.base import Executor, Job, Outcome

__all__ = ["streamed"]


def streamed(
    executor: Executor,
    tasks: Iterable[Job],
    *,
    ahead: int = 2,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """Submit tasks in their order and yield outcomes as they arrive.

    Args:
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
