"""One logger's thread: what it is told, in order, without ever holding up the search."""

import functools
import logging
import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.integrations.loggers.final_front import FinalFront
from autosearch.integrations.loggers.progress_file import ProgressFile
from autosearch.study.study import Candidate

__all__ = ["Line"]

_log = logging.getLogger(__name__)


class _Call(NamedTuple):
    run: Callable[[], None]
    # Whether it is done also when the run ends in a hurry.
    always: bool = False


class Line:
    """Tells a logger what it does not know yet; one that fails is left alone from then on."""

    def __init__(self, logger: Logger, watched: Watched, marks: ProgressFile) -> None:
        self.name = logger.name
        self._callback = logger
        # The thread's own; what the caller knows of them stands in the next two.
        self._marks = marks
        self._results = marks.results
        self._validations = set(marks.validations)
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        # A thread that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"log-{self.name}", daemon=True)
        self._calls.put(_Call(functools.partial(logger.on_start, watched), always=True))
        self._thread.start()

    def result(self, candidate: Candidate, numbers: Numbers) -> None:
        """Pass a result on, unless it is known."""
        if candidate.id < self._results:
            return

        def run() -> None:
            self._callback.on_result(candidate, numbers)
            self._marks.results = candidate.id + 1
            self._marks.save()

        self._calls.put(_Call(run))

    def validation(self, key: str, candidate: Candidate, numbers: Numbers) -> None:
        """Pass on what was measured on fresh noise, unless it is known."""
        if key in self._validations:
            return
        self._validations.add(key)

        def run() -> None:
            self._callback.on_validation(candidate, numbers)
            self._marks.validations.add(key)
            self._marks.save()

        self._calls.put(_Call(run))

    def end(self, ending: FinalFront) -> None:
        """Pass on the front, if there is news since it was passed on last."""

        def run() -> None:
            news = (self._marks.results, len(self._marks.validations))
            if news != self._marks.ended:
                self._callback.on_end(ending)
                self._marks.ended = news
                self._marks.save()

        self._calls.put(_Call(run))

    def close(self, *, finished: bool, hurry: bool = False) -> None:
        """Ask the logger to let go, in a hurry without telling it the rest."""
        if hurry:
            self._hurry.set()
        close = functools.partial(self._callback.close, finished=finished)
        self._calls.put(_Call(close, always=True))
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """After :meth:`close`: give it some time to come to its end."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.warning("logger %s: still busy after %g s; left behind", self.name, seconds)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if self._hurry.is_set() and not call.always:
                continue
            # Whatever a library of others' raises, a full disk or a server that is gone: days of
            # search are worth more than their log.
            try:
                call.run()
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                _log.warning("logger %s: switched off: %s", self.name, text)
                return
