"""What a logger has been told of a study, kept beside it in a small file."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autosearch.text import replace_file

__all__ = ["FOLDER", "ProgressFile"]

FOLDER = "loggers"
# Where studies of earlier versions have them.
_EARLIER = "callbacks"


@dataclass
class ProgressFile:
    """How far a logger has been told.

    Attributes:
        path: the file; delete it to have everything told anew.
        settings: the logger's own; with others it begins anew.
        results: how many candidates, in the order of their numbers.
        validations: ``seed/samples/candidate`` of each.
        ended: results and validations at the last end.
    """

    path: Path
    settings: Mapping[str, Any]
    results: int = 0
    validations: set[str] = field(default_factory=set)
    ended: tuple[int, int] = (0, 0)

    @classmethod
    def load(cls, directory: Path, name: str, settings: Mapping[str, Any]) -> "ProgressFile":
        """Read the progress of an earlier process; none where the file is missing or damaged."""
        progress = cls(directory / FOLDER / f"{name}.json", settings)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            earlier = directory / _EARLIER / progress.path.name
            source = progress.path if progress.path.exists() else earlier
            data = json.loads(source.read_text(encoding="utf-8"))
            if data["settings"] == settings:
                results, ended = int(data["results"]), data["ended"]
                progress.validations = set(map(str, data["validations"]))
                progress.ended = int(ended[0]), int(ended[1])
                progress.results = results
        return progress

    def save(self) -> None:
        """Replace the file, whole or not at all."""
        data = {
            "settings": self.settings,
            "results": self.results,
            "validations": sorted(self.validations),
            "ended": self.ended,
        }
        replace_file(self.path, (json.dumps(data) + "\n").encode())
