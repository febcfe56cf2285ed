"""From an experiment's ``loggers`` to loggers, and what they are told while a run goes on."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from autosearch.errors import UserError
from autosearch.integrations.loggers import find
from autosearch.integrations.loggers.base import Logger, Watched
from autosearch.integrations.loggers.final_front import FinalFront
from autosearch.integrations.loggers.metrics import Tally, validated_numbers
from autosearch.integrations.loggers.progress_file import ProgressFile
from autosearch.integrations.loggers.thread import Line
from autosearch.registry import construct
from autosearch.study.progress_snapshot import unfinished
from autosearch.study.study import Study

__all__ = ["Chosen", "Loggers", "Watchers", "make_loggers"]

_log = logging.getLogger(__name__)

# Seconds to wait for loggers at the end of a run, and where it ends by an error.
_PATIENCE = 120.0
_HURRY = 5.0


class Chosen(NamedTuple):
    """A logger and the settings that made it."""

    logger: Logger
    settings: Mapping[str, Any]


class Loggers:
    """Loggers with the settings that made them, to be attached to a run."""

    def __init__(self, chosen: Sequence[Chosen]) -> None:
        self._chosen = chosen

    def attached(self, study: Study, *, directory: Path, key: str) -> "Watchers":
        """Open them for a study; see :class:`autosearch.engine.session.Loggers`."""
        return Watchers(self._chosen, study, directory=directory, key=key)


def make_loggers(loggers: Sequence[Mapping[str, Any]], *, strict: bool = True) -> Loggers:
    """The loggers of an experiment's ``loggers``.

    Args:
        loggers: name and settings of each.
        strict: whether one that cannot be made is refused, or only left out with a warning.

    Raises:
        UserError: for an unknown name or setting, or a missing package.
    """
    made = []
    for given in loggers:
        try:
            made.append(_made(given))
        except UserError as error:
            if strict:
                raise
            _log.warning("%s; goes on without it", error)
    return Loggers(made)


def _made(given: Mapping[str, Any]) -> Chosen:
    name = given["name"]
    settings = {key: value for key, value in given.items() if key != "name"}
    kind = find(name, where="loggers")
    return Chosen(construct(kind, settings, where=f"loggers.{name}"), settings)


class Watchers:
    """All loggers of a run; looks at the study and passes on what is new."""

    def __init__(
        self, chosen: Sequence[Chosen], study: Study, *, directory: Path, key: str
    ) -> None:
        self._chosen = chosen
        self._study = study
        self._directory = directory
        self._key = key
        self._lines: list[Line] = []
        self._next = 0
        self._validated = 0

    def __enter__(self) -> "Watchers":
        if self._chosen:
            self._tally = Tally(self._study)
        for logger, settings in self._chosen:
            marks = ProgressFile.load(self._directory, logger.name, settings)
            header = self._study.header
            watched = Watched(self._key, header["name"], self._directory, header, marks.results)
            self._lines.append(Line(logger, watched, marks))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._lines:
            return
        clean = kind is None
        if clean:
            self.look()
            ending = FinalFront(self._study, self._directory)
            for line in self._lines:
                line.end(ending)
        finished = clean and unfinished(self._study) is None
        for line in self._lines:
            line.close(finished=finished, hurry=not clean)
        for line in self._lines:
            line.wait(_PATIENCE if clean else _HURRY)

    def look(self) -> None:
        """Pass on results in the order of their numbers, and validations; never waits."""
        if not self._lines:
            return
        candidates = self._study.candidates
        while (found := candidates.get(self._next)) is not None and found.finished:
            numbers = self._tally.add(found)
            for line in self._lines:
                line.result(found, numbers)
            self._next += 1
        self._look_at_validations()

    def _look_at_validations(self) -> None:
        known = self._study.validations
        count = sum(map(len, known.values()))
        if count == self._validated:
            return
        self._validated = count
        by_identity = {c.identity: c for c in self._study.candidates.values()}
        for (seed, samples), found in known.items():
            for identity, values in found.items():
                if values:
                    candidate = by_identity[identity]
                    key = f"{seed}/{samples}/{candidate.id}"
                    numbers = validated_numbers(values, (seed, samples))
                    for line in self._lines:
                        line.validation(key, candidate, numbers)
