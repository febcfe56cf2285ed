"""Tasks in their order, few at a time, and nothing begun after a stop."""

from collections import deque
from collections.abc import Sequence

import pytest

from autosearch.engine.workers.base import Executor, FitTask, Outcome, Task
from autosearch.engine.workers.collect import run_tasks


class Queue(Executor):
    """Two workers, of whom one at a time returns the oldest task; notes how many were begun."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.most = 0
        self._pending: deque[int] = deque()

    @property
    def size(self) -> int:
        return 2

    def submit(self, task: Task) -> None:
        self.begun.append(task.id)
        self._pending.append(task.id)
        self.most = max(self.most, len(self._pending))

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        return [Outcome(self._pending.popleft())]

    def close(self) -> None:
        self._pending.clear()


def tasks(count: int) -> list[FitTask]:
    return [FitTask(number, "none", 0) for number in range(count)]


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_all_come_back_and_few_are_ahead(ahead: int) -> None:
    queue = Queue()
    found = [outcome.id for outcome in run_tasks(queue, tasks(9), ahead=ahead)]
    assert found == queue.begun == list(range(9))
    assert queue.most == 2 * ahead


def test_after_a_stop_only_what_was_begun_comes_back() -> None:
    queue = Queue()
    found: list[int] = []
    for outcome in run_tasks(queue, tasks(9), stopping=lambda: len(found) >= 3):
        found.append(outcome.id)
    assert found == queue.begun
    assert len(found) == 3 + 4 - 1


def test_nothing_to_do_is_done_at_once() -> None:
    queue = Queue()
    assert list(run_tasks(queue, [])) == []
    assert list(run_tasks(queue, tasks(3), stopping=lambda: True)) == []
    assert queue.begun == []
