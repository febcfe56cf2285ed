"""From an experiment's ``loggers`` to loggers, and what they are told while a run goes on."""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

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

__all__ = ["Loggers", "Watchers", "make_loggers"]

_log = logging.getLogger(__name__)

# Seconds to wait for loggers at the end of a run, and where it ends by an error.
_PATIENCE = 120.0
_HURRY = 5.0


@dataclass(frozen=True)
class Loggers:
    """Loggers, each with the settings that made it, to be attached to a run."""

    chosen: Sequence[tuple[Logger, Mapping[str, Any]]]

    def attached(self, study: Study, *, directory: Path, key: str) -> "Watchers":
        """Loggers that watch a study; see :class:`autosearch.engine.session.Loggers`."""
        return Watchers(self, study, directory=directory, key=key)


def make_loggers(loggers: Sequence[Mapping[str, Any]], *, strict: bool = True) -> Loggers:
    """Make the loggers of an experiment's ``loggers``.

    Args:
        loggers: name and settings of each.
        strict: whether one that cannot be made is refused, or only left out with a warning.

    Raises:
        UserError: for an unknown name or setting, or a missing package.
    """
    chosen = []
    for given in loggers:
        name = given["name"]
        settings = {key: value for key, value in given.items() if key != "name"}
        try:
            kind = find(name, where="loggers")
            chosen.append((construct(kind, settings, where=f"loggers.{name}"), settings))
        except UserError as error:
            if strict:
                raise
            _log.warning("%s; goes on without it", error)
    return Loggers(chosen)


class Watchers:
    """All loggers of a run; looks at the study and passes on what is new."""

    def __init__(self, loggers: Loggers, study: Study, *, directory: Path, key: str) -> None:
        self._loggers = loggers
        self._study = study
        self._directory = directory
        self._key = key
        self._threads: list[LoggerThread] = []
        self._next = 0
        self._validated: set[str] = set()

    def __enter__(self) -> "Watchers":
        self._tally = Tally(self._study)
        for logger, settings in self._loggers.chosen:
            progress = ProgressFile.load(self._directory, logger.name, settings)
            header = self._study.header.to_record()
            watched = Watched(self._key, header["name"], self._directory, header, progress.results)
            self._threads.append(LoggerThread(logger, watched, progress))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._threads:
            return
        clean = kind is None
        if clean:
            self.look()
            ending = FinalFront(self._study, self._directory)
            for thread in self._threads:
                thread.end(ending)
        finished = clean and unfinished(self._study) is None
        for thread in self._threads:
            thread.close(finished=finished, hurry=not clean)
        for thread in self._threads:
            thread.wait(_PATIENCE if clean else _HURRY)

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
        self._look_at_validations()

    def _look_at_validations(self) -> None:
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
