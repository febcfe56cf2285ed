"""An executor that looks into the block store before it pays for an evaluation."""

from collections.abc import Sequence
from typing import TypeGuard

from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.engine.workers.base import Executor, Job, Outcome, Task
from autosearch.engine.workers.delegating import Delegating
from autosearch.engine.workers.store import BlockStore

__all__ = ["StoredExecutor"]


class StoredExecutor(Delegating):
    """Any executor with a store beside it; what was stored costs no forward.

    Rows are stored as soon as they arrive, so an evaluation that had ended when the driver died
    is not paid for again, even if its result did not reach the journal. So are artifacts, in
    ``library``.
    """

    def __init__(
        self, inner: Executor, store: BlockStore, artifact_store: ArtifactStore | None = None
    ) -> None:
        super().__init__(inner)
        self._store = store
        self._library = ArtifactStore() if artifact_store is None else artifact_store
        self._tasks: dict[int, Job] = {}
        self._ready: list[Outcome] = []

    def submit(self, task: Job) -> None:
        rows = self._store.get(task) if _storable(task) else None
        if rows is not None and set(rows) == task.needs:
            self._ready.append(Outcome(id=task.id, rows=rows, worker="store"))
            return
        self._tasks[task.id] = task
        super().submit(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        if self._ready:
            ready, self._ready = self._ready, []
            return ready
        outcomes = super().wait(timeout)
        for outcome in outcomes:
            task = self._tasks.pop(outcome.id)
            for key, content in outcome.files.items():
                self._library.keep(key, content)
            if outcome.reason is None and _storable(task):
                self._store.put(task, outcome.rows)
        return outcomes


def _storable(task: Job) -> TypeGuard[Task]:
    """Whether the rows are the same whenever they are asked for; times are not."""
    return isinstance(task, Task) and bool(task.needs) and "latency" not in task.needs
