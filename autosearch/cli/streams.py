"""Standard output and standard error that end nothing: a run's journal is what counts.

A reader that has left, a full disk under a log, a closed descriptor or an encoding that lacks a
character are no reasons to lose days of search.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["TolerantStream", "standard_streams"]

# What a stream that cannot be written raises; ValueError where somebody closed it.
_FAILURES = (OSError, ValueError)


class TolerantStream:
    """A text stream whose failures are remembered and not raised; all else is the stream's own.

    Args:
        stream: what is written to; None where the process has none.

    Attributes:
        failure: why something is not written, the latest reason.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write a text; what the encoding lacks is written as an escape."""
        if self._stream is None:
            return len(text)
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                escaped = text.encode(error.encoding, "backslashreplace")
                self._stream.write(escaped.decode(error.encoding))
        except _FAILURES as error:
            self.failure = error
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except _FAILURES as error:
                self.failure = error

    def isatty(self) -> bool:
        """Whether somebody looks on, at a terminal."""
        try:
            return self._stream is not None and bool(self._stream.isatty())
        except _FAILURES:
            return False

    def __getattr__(self, name: str) -> Any:
        if self._stream is None and name in ("encoding", "errors"):
            return {"encoding": "utf-8", "errors": "backslashreplace"}[name]
        return getattr(self._stream, name)


@contextlib.contextmanager
def standard_streams() -> Iterator[TolerantStream]:
    """Make both standard streams tolerant while the body runs; gives standard output's."""
    _hold_descriptors()
    before = sys.stdout, sys.stderr
    out, err = TolerantStream(sys.stdout), TolerantStream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
        for stream, own in ((out, sys.__stdout__), (err, sys.__stderr__)):
            if stream.failure is not None and stream._stream is own:
                _discard(own)


def _hold_descriptors() -> None:
    """Open nothing in the place of a closed standard descriptor.

    The next file that is opened would get its number, and what some library prints would land in
    that file: a journal, perhaps.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)


def _discard(stream: Any) -> None:
    """Let what a stream still holds go nowhere: Python flushes it once more at its end."""
    with contextlib.suppress(*_FAILURES):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
