"""The journal of a study: append-only JSON lines with a checksum each, written by one process.

Everything else in a study can be derived from its journal.
"""

import contextlib
import errno
import importlib
import logging
import math
import os
import secrets
import time
from pathlib import Path

from filelock import FileLock, Timeout

from autosearch.errors import UserError
from autosearch.study.events import Event, Header
from autosearch.study.journal_lines import VERSION, Contents, encode, load, refusal

__all__ = ["Journal", "check_free", "holds_study", "in_use", "read_journal"]

FILE = "journal.jsonl"
LOCK = "journal.lock"

# Flushing to the disk takes milliseconds: at most one part in this many of the time goes there.
_SYNC_SHARE = 20
# Seconds in which somebody who only looks lets go of the lock.
_MOMENT = 0.5

_log = logging.getLogger(__name__)


def read_journal(directory: Path) -> tuple[Event, ...]:
    """The events of a study, header first, without taking the lock.

    An incomplete last line, which a running search may be writing, is left out.

    Raises:
        UserError: when there is no journal, it cannot be read or a line of it is damaged.
    """
    return tuple(load(_require_journal(directory)).events)


def holds_study(directory: Path) -> bool:
    """Whether a directory holds a study, even one that cannot be read."""
    return os.path.lexists(directory / FILE)


def check_free(directory: Path) -> None:
    """Refuse a directory that holds a study, or is none.

    Raises:
        UserError: naming it.
    """
    if holds_study(directory):
        raise UserError(
            f"{directory}: already holds a study; continue it with --resume or give another --out"
        )
    if os.path.lexists(directory) and not directory.is_dir():
        raise UserError(f"{directory}: is not a directory; give another --out")


class Journal:
    """A journal that is open for writing; it holds the directory's lock until it is closed.

    Attributes:
        directory: the study's directory.
        study: the study's id, which every line carries.
        history: the events that the file held when it was opened, header first.
    """

    def __init__(
        self, directory: Path, *, lock: FileLock, contents: Contents, descriptor: int
    ) -> None:
        """Use ``create`` or ``open`` instead."""
        self.directory = directory
        self.study = contents.study
        self.history = tuple(contents.events)
        self._path = directory / FILE
        self._lock = lock
        self._descriptor: int | None = descriptor
        # Why nothing more can be written, once part of a line could not be taken back.
        self._broken: UserError | None = None
        self._lines = contents.lines
        self._size = contents.size
        self._synced_size = contents.size
        self._next_sync = -math.inf

    @classmethod
    def create(cls, directory: Path, header: Header) -> "Journal":
        """Start a study; its first line is ``header`` with the journal's version added.

        Raises:
            UserError: when the directory holds a study, is in use or cannot be written.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refusal(directory, "cannot make the directory", error) from None
        path = directory / FILE
        _refuse_links(directory)
        lock = _lock_directory(directory)
        try:
            check_free(directory)  # nobody else has begun one since
            study = secrets.token_hex(8)
            record = {**header.to_record(), "journal": VERSION}
            _write_whole(path, encode(record, 0, study))
            return cls._open_locked(directory, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def start(cls, directory: Path, header: Header) -> "Journal":
        """Begin a study, or continue the one that is there; see ``create`` and ``open``."""
        begun = os.path.lexists(directory / FILE)
        return cls.open(directory) if begun else cls.create(directory, header)

    @classmethod
    def open(cls, directory: Path) -> "Journal":
        """Continue a study; an incomplete last line is cut off with a warning.

        Raises:
            UserError: when there is no journal, it is in use, cannot be written or is damaged.
        """
        _require_journal(directory)
        _refuse_links(directory)
        lock = _lock_directory(directory)
        try:
            return cls._open_locked(directory, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_locked(cls, directory: Path, lock: FileLock) -> "Journal":
        path = directory / FILE
        contents = load(path)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise refusal(path, "cannot write the journal", error) from None
        if contents.tail:
            _log.warning(
                "%s: dropped an incomplete last line, %d (%d bytes)",
                path,
                contents.lines + 1,
                contents.tail,
            )
            os.ftruncate(descriptor, contents.size)
        return cls(directory, lock=lock, contents=contents, descriptor=descriptor)

    def append(self, event: Event) -> None:
        """Write one event.

        It survives the death of this process at once. A durable one should also survive a loss
        of power; such flushes are batched, so that they take at most a twentieth of the time.

        Raises:
            ValueError: for NaN or infinity, a second header or a closed journal.
            UserError: when the disk refuses; nothing of the event stays behind.
        """
        if self._broken is not None:
            raise self._broken
        if self._descriptor is None:
            raise ValueError("the journal is closed")
        if isinstance(event, Header):
            raise ValueError("a journal has one header")
        self._write(self._descriptor, encode(event.to_record(), self._lines, self.study))
        if event.durable and time.monotonic() >= self._next_sync:
            self.sync()

    def sync(self) -> None:
        """Flush everything written so far to the disk.

        Raises:
            UserError: when the disk refuses, or the file was deleted.
        """
        if self._descriptor is None or self._synced_size == self._size:
            return
        start = time.monotonic()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise refusal(self._path, "cannot write the journal", error) from None
        if not os.fstat(self._descriptor).st_nlink:
            raise UserError(f"{self._path}: deleted while in use; start again with another --out")
        self._synced_size = self._size
        end = time.monotonic()
        self._next_sync = end + (end - start) * (_SYNC_SHARE - 1)

    def discard(self) -> None:
        """Close the journal and delete it, with folders of the study in which nothing is."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._abandon()
        with contextlib.suppress(OSError):  # where letting go of it has not deleted it already
            (self.directory / LOCK).unlink()
        with contextlib.suppress(OSError):
            inside = [entry for entry in self.directory.iterdir() if not entry.is_symlink()]
            for folder in (*filter(Path.is_dir, inside), self.directory):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def close(self) -> None:
        """Flush, close the file and release the lock; closing twice does nothing."""
        if self._descriptor is None:
            return
        try:
            self.sync()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        self._lock.release()

    def _write(self, descriptor: int, line: bytes) -> None:
        self._require_alone(descriptor)
        try:
            written = 0
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except BaseException as error:
            undone = self._undo(descriptor)
            cause = error if isinstance(error, OSError) else InterruptedError()
            refused = refusal(self._path, "cannot write the journal", cause)
            if not undone:
                self._broken = refused
            if isinstance(error, OSError):
                raise refused from None
            raise
        self._size += len(line)
        self._lines += 1

    def _require_alone(self, descriptor: int) -> None:
        """Notice before a line is written that others have written here.

        The lock keeps them away, unless somebody deletes its file.

        Raises:
            UserError: when the file is not as this process left it.
        """
        if os.fstat(descriptor).st_size == self._size:
            return
        self._broken = UserError(
            f"{self._path}: written by another run at the same time; what it writes counts: stop "
            "it before --resume, and leave its lock alone"
        )
        self._synced_size = self._size
        raise self._broken

    def _undo(self, descriptor: int) -> bool:
        """Leave no part of a line behind; where that fails, it must stay the last one."""
        try:
            os.ftruncate(descriptor, self._size)
        except OSError:
            self._abandon()
            return False
        return True

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def in_use(directory: Path) -> bool | None:
    """Whether a process holds a study's lock, which the system releases when that process ends.

    Nothing is written: a shared lock is asked for on a descriptor that only reads, and given back
    at once.

    Returns:
        None where the system cannot tell (no ``flock``, or no right to read the lock).
    """
    try:
        fcntl = importlib.import_module("fcntl")
    except ImportError:
        return None
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return None
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        return False
    finally:
        os.close(descriptor)


def _require_journal(directory: Path) -> Path:
    path = directory / FILE
    if not os.path.lexists(path):
        what = "holds no study" if directory.is_dir() else "is not a directory"
        name = str(directory) if str(directory).strip() else repr(str(directory))
        raise UserError(f"{name}: {what}; give the directory that `autosearch run` wrote")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: cannot read the journal: no file; restore a copy of it")
    return path


def _refuse_links(directory: Path) -> None:
    """Refuse to write where something in a study's folder leads out of it.

    Raises:
        UserError: naming the link.
    """
    home = directory.resolve()
    for entry in os.scandir(directory):
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(home):
            raise UserError(
                f"{entry.path}: is a link that leads out of the study; remove it, or put what it "
                "leads to in its place"
            )


def _lock_directory(directory: Path) -> FileLock:
    lock = FileLock(directory / LOCK, thread_local=False)
    try:
        # Whoever only looks whether it is held has it for a moment.
        lock.acquire(timeout=_MOMENT)
    except Timeout:
        raise UserError(
            f"{directory}: in use by another run; wait for its end, stop it or give another --out"
        ) from None
    except OSError as error:
        raise refusal(directory / LOCK, "cannot lock the study", error) from None
    return lock


def _write_whole(path: Path, data: bytes) -> None:
    """Make a file that is there with all its bytes or not at all, also after a loss of power."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # Some file systems know no flush of a folder.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refusal(path, "cannot write the journal", error) from None
