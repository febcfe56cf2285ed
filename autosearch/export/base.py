"""What an export format is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autosearch.recipe import Recipe
from autosearch.study.study import Study

__all__ = ["FolderFormat", "FolderWriter", "Format", "StudyFormat", "StudyWriter", "Writer"]

# Writes a recipe and returns what the user should know about it, one line each.
Writer = Callable[[Recipe, Path], Sequence[str]]
# The same into a folder, knowing the settings of the model that was searched.
FolderWriter = Callable[[Recipe, Path, Mapping[str, Any]], Sequence[str]]
# Writes a study to a place, such as a path, under a name (its own for None); returns what came of
# it, in one line.
StudyWriter = Callable[[Study, str, str | None], str]


@dataclass(frozen=True)
class Format:
    """A way to hand over a recipe."""

    name: str
    summary: str
    write: Writer


@dataclass(frozen=True)
class FolderFormat:
    """A way to hand over a recipe with what it takes to run it."""

    name: str
    summary: str
    write: FolderWriter


@dataclass(frozen=True)
class StudyFormat:
    """A way to hand over a whole study."""

    name: str
    summary: str
    write: StudyWriter
