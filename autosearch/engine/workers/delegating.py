"""The base of executors around another one."""

from collections.abc import Sequence

from autosearch.engine.workers.base import Executor, Job, Outcome

__all__ = ["Delegating"]


class Delegating(Executor):
    """Hands everything on to ``inner``; subclasses change what they are for."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    @property
    def size(self) -> int:
        return self._inner.size

    def submit(self, task: Job) -> None:
        self._inner.submit(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        return self._inner.wait(timeout)

    def close(self) -> None:
        self._inner.close()
