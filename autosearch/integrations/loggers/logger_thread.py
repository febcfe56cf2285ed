"""The thread of one logger: it is told of a run in order and never holds up the search."""

import logging
import queue
import threading
from collections.abc import Callable

from autosearch.errors import FAILURES, one_line
from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.integrations.loggers.final_front import FinalFront
from autosearch.integrations.loggers.progress_file import ProgressFile
from autosearch.study.study import Candidate

__all__ = ["LoggerThread"]

_log = logging.getLogger(__name__)

# Whatever a library of others' ends in, a full disk, a server that is gone, an exit of the program:
# days of search are worth more than their log. The user's own interrupt is the main thread's.
_ENDINGS: tuple[type[BaseException], ...] = (*FAILURES, KeyboardInterrupt)


class LoggerThread:
    """Tells a logger what it does not know yet; one that fails is left alone from then on."""

    def __init__(self, logger: Logger, watched: Watched, progress: ProgressFile) -> None:
        self._logger = logger
        self._watched = watched
        # The thread's own once it runs.
        self._progress = progress
        self._calls: queue.SimpleQueue[Callable[[ProgressFile], None] | None] = queue.SimpleQueue()
        self._hurry = self._finished = False
        # A thread that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"log-{logger.name}", daemon=True)
        self._thread.start()

    def result(self, candidate: Candidate, numbers: Numbers) -> None:
        """Pass a result on, unless an earlier process did."""

        def tell(progress: ProgressFile) -> None:
            if candidate.id >= progress.results:
                self._logger.on_result(candidate, numbers)
                progress.results = candidate.id + 1
                progress.save()

        self._calls.put(tell)

    def validation(self, key: str, candidate: Candidate, numbers: Numbers) -> None:
        """Pass on what was measured on fresh noise, unless an earlier process did."""

        def tell(progress: ProgressFile) -> None:
            if key not in progress.validations:
                self._logger.on_validation(candidate, numbers)
                progress.validations.add(key)
                progress.save()

        self._calls.put(tell)

    def end(self, ending: FinalFront) -> None:
        """Pass on the front, if there is news since it was passed on last."""

        def tell(progress: ProgressFile) -> None:
            if progress.ended != (news := (progress.results, len(progress.validations))):
                self._logger.on_end(ending)
                progress.ended = news
                progress.save()

        self._calls.put(tell)

    def close(self, *, finished: bool, hurry: bool) -> None:
        """Ask the logger to let go, in a hurry without telling it the rest."""
        self._finished, self._hurry = finished, hurry
        self._calls.put(None)

    def wait(self, seconds: float) -> None:
        """After :meth:`close`: give it some time to come to its end."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            name = self._logger.name
            _log.warning("logger %s: still busy after %g s; left behind", name, seconds)

    def _run(self) -> None:
        try:
            self._logger.on_start(self._watched)
            while (call := self._calls.get()) is not None:
                if not self._hurry:
                    call(self._progress)
            self._logger.close(finished=self._finished)
        except _ENDINGS as error:
            text = one_line(f"{type(error).__name__}: {error}")
            _log.warning("logger %s: switched off: %s", self._logger.name, text)
