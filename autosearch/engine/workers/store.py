"""Rows of measurements on disk, bounded and deletable at any moment, and who looks there first.

Nothing depends on an entry being there: what is missing or damaged is measured again.
"""

import hashlib
import json
import logging
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from autosearch._typing import Rows
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.engine.workers.base import DelegatingExecutor, Executor, Outcome, SampleTask, Task
from autosearch.text import replace_file

__all__ = ["BlockStore", "StoredExecutor"]

_SUFFIX = ".safetensors"
_TEMPORARY = ".tmp"

_log = logging.getLogger(__name__)


class BlockStore:
    """Rows by everything in a task but its id, one safetensors file each.

    When the files take more than ``max_bytes``, those not used for the longest time are deleted;
    their times of modification keep the order from one process to the next. A store never stops
    a run: what cannot be written is not stored, with one warning.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._warned = False
        self._sizes = _scan(directory)  # by file name, least recently used first
        self._evict()

    @property
    def total_bytes(self) -> int:
        """Bytes that the files take, as far as this process knows."""
        return sum(self._sizes.values())

    def get(self, task: SampleTask) -> dict[str, NDArray[np.generic]] | None:
        """The rows of a task; None when they are missing or damaged (then they are deleted)."""
        key = _key(task)
        path = self._path(key)
        try:
            rows = _read(path, key)
            size = _touch(path)
        except FileNotFoundError:
            self._sizes.pop(path.name, None)
            return None
        except OSError as error:
            self._warn(path, error)
            return None
        except (SafetensorError, ValueError) as error:
            _log.warning("%s: damaged, deleted: %s", path, error)
            self._delete(path.name)
            return None
        self._sizes[path.name] = size
        self._sizes.move_to_end(path.name)
        return rows

    def put(self, task: SampleTask, rows: Rows) -> None:
        """Keep the rows of a task, unless they alone exceed the bound."""
        key = _key(task)
        path = self._path(key)
        arrays = {name: np.asarray(array, order="C") for name, array in rows.items()}
        data = save(arrays, metadata={"key": key, "crc32": _checksum(arrays)})
        if len(data) > self._max_bytes:
            return
        try:
            replace_file(path, data)
            size = _touch(path)
        except OSError as error:
            self._warn(path, error)
            return
        self._sizes[path.name] = size
        self._sizes.move_to_end(path.name)
        self._evict()

    def _path(self, key: str) -> Path:
        return self._directory / (hashlib.sha256(key.encode()).hexdigest()[:32] + _SUFFIX)

    def _evict(self) -> None:
        while self._sizes and self.total_bytes > self._max_bytes:
            self._delete(next(iter(self._sizes)))

    def _delete(self, name: str) -> None:
        self._sizes.pop(name, None)
        try:
            (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            self._warn(self._directory / name, error)

    def _warn(self, path: Path, error: OSError) -> None:
        if not self._warned:
            _log.warning("%s: cannot be used as a store: %s", path, error.strerror or error)
            self._warned = True


class StoredExecutor(DelegatingExecutor):
    """Any executor with a store beside it; what was stored costs no forward.

    Rows are stored as soon as they arrive, so an evaluation that had ended when the driver died
    is not paid for again, even if its result did not reach the journal. So are artifacts, in
    ``artifact_store``.
    """

    def __init__(
        self, inner: Executor, store: BlockStore, artifact_store: ArtifactStore | None = None
    ) -> None:
        super().__init__(inner)
        self._store = store
        self._artifact_store = ArtifactStore() if artifact_store is None else artifact_store
        self._tasks: dict[int, Task] = {}
        self._ready: list[Outcome] = []

    def submit(self, task: Task) -> None:
        if _storable(task):
            rows = self._store.get(task)
            if rows is not None and set(rows) == task.returns:
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
                self._artifact_store.add(key, content)
            if outcome.reason is None and _storable(task):
                self._store.put(task, outcome.rows)
        return outcomes


def _storable(task: Task) -> TypeGuard[SampleTask]:
    """Whether there are rows, the same whenever they are asked for; times are not."""
    return isinstance(task, SampleTask) and bool(task.needs)


def _key(task: SampleTask) -> str:
    """Everything that the rows depend on, as text. A plan's identity leaves the weights out."""
    key = {
        "plan": task.plan.identity,
        "weights": task.plan.model.weights,
        "stream": int(task.stream),
        "seed": task.seed,
        "blocks": list(task.blocks),
        "block_size": task.block_size,
        "needs": sorted(task.returns),
    }
    return json.dumps(key, separators=(",", ":"))


def _scan(directory: Path) -> OrderedDict[str, int]:
    """Sizes of the entries, least recently used first; what a killed process left is deleted."""
    entries: list[tuple[int, str, int]] = []
    try:
        for entry in os.scandir(directory):
            if entry.name.endswith(_TEMPORARY):
                os.unlink(entry.path)
            elif entry.name.endswith(_SUFFIX):
                state = entry.stat()
                entries.append((state.st_mtime_ns, entry.name, state.st_size))
    except OSError:
        pass  # missing, or vanishing while we look: both are fine
    return OrderedDict((name, size) for _, name, size in sorted(entries))


def _checksum(rows: Rows) -> str:
    value = 0
    for name in sorted(rows):
        array = rows[name]
        value = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), value)
        value = zlib.crc32(array.tobytes(), value)
    return f"{value:08x}"


def _read(path: Path, key: str) -> dict[str, NDArray[np.generic]]:
    """Read the rows of a file [samples, ...].

    Raises:
        ValueError: when its bytes are not those that were written, or not for this key.
    """
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        rows = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.get("key") != key:
        raise ValueError("holds something else")
    if metadata.get("crc32") != _checksum(rows):
        raise ValueError("the checksum does not match")
    return rows


def _touch(path: Path) -> int:
    """Mark a file as used now and return its size in bytes.

    The time is ours, to the nanosecond: the kernel's clock is too coarse to tell an order.
    """
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    return path.stat().st_size
