"""From an experiment's ``loggers`` to loggers, and what they are told while a run goes on."""

import copy
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autosearch.engine.border import third_party
from autosearch.engine.session import Loggers
from autosearch.errors import UserError
from autosearch.integrations.loggers import find
from autosearch.integrations.loggers.base import Logger, Watched
from autosearch.integrations.loggers.final_front import FinalFront
from autosearch.integrations.loggers.logger_thread import LoggerThread
from autosearch.integrations.loggers.metrics import Tally, validated_numbers
from autosearch.integrations.loggers.progress_file import ProgressFile
from autosearch.registry import construct
from autosearch.study.progress import unfinished
from autosearch.study.study import Study

__all__ = ["make_loggers"]

_log = logging.getLogger(__name__)

# Seconds to wait for loggers at the end of a run, and where it ends by an error.
_PATIENCE = 120.0
_HURRY = 5.0

_Chosen = Sequence[tuple[Logger, Mapping[str, Any]]]


def make_loggers(loggers: Sequence[Mapping[str, Any]], *, strict: bool = True) -> Loggers:
    """Make the loggers of an experiment's ``loggers``.

    Args:
        loggers: name and settings of each.
        strict: whether one that cannot be made is refused, or only left out with a warning.

    Raises:
        UserError: for an unknown name or setting, or a missing package.
        PartFailed: for one of somebody else's that cannot be made.
    """
    chosen = []
    for given in loggers:
        name = given["name"]
        settings = {key: value for key, value in given.items() if key != "name"}
        try:
            kind = find(name, where="loggers")
            with third_party("logger", kind):
                chosen.append((construct(kind, settings, where=f"loggers.{name}"), settings))
        except UserError as error:
            if strict:
                raise
            _log.warning("%s; goes on without it", error)
    return functools.partial(_watch, chosen)


@contextmanager
def _watch(
    chosen: _Chosen, study: Study, directory: Path, key: str
) -> Iterator[Callable[[], None]]:
    """Tell loggers of a study while the body lasts; gives what passes on news."""
    header = study.header.to_record()
    threads = []
    for logger, settings in chosen:
        progress = ProgressFile.load(directory, logger.name, settings)
        own = copy.deepcopy(header)
        watched = Watched(key, header["name"], directory, own, progress.results)
        threads.append(LoggerThread(logger, watched, progress))
    watcher = _Watcher(study, threads)
    clean = False
    try:
        yield watcher.look
        clean = True
        watcher.look()
        ending = FinalFront(study, directory)
        for thread in threads:
            thread.end(ending)
    finally:
        finished = clean and unfinished(study) is None
        for thread in threads:
            thread.close(finished=finished, hurry=not clean)
        for thread in threads:
            thread.wait(_PATIENCE if clean else _HURRY)


class _Watcher:
    """Looks at a study and passes on what is new to loggers."""

    def __init__(self, study: Study, threads: Sequence[LoggerThread]) -> None:
        self._study = study
        self._threads = threads
        self._tally = Tally(study)
        self._next = 0
        self._validated: set[str] = set()

    def look(self) -> None:
        """Pass on results in the order of their numbers, and validations; never waits."""
        if not self._threads:
            return
        candidates = self._study.candidates
        while (candidate := candidates.get(self._next)) is not None and candidate.finished:
            numbers = self._tally.add(candidate)
            for thread in self._threads:
                # A copy: what a logger does to it is no concern of the search.
                thread.result(copy.deepcopy(candidate), dict(numbers))
            self._next += 1
        validations = self._study.validations
        if sum(map(len, validations.values())) == len(self._validated):
            return
        by_identity = {c.identity: c for c in self._study.candidates.values()}
        for (seed, samples), measured in validations.items():
            for identity, values in measured.items():
                candidate = by_identity[identity]
                key = f"{seed}/{samples}/{candidate.id}"
                if values and key not in self._validated:
                    numbers = validated_numbers(values, (seed, samples))
                    for thread in self._threads:
                        thread.validation(key, copy.deepcopy(candidate), dict(numbers))
                self._validated.add(key)
