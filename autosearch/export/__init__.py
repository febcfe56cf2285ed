"""Handing a recipe over, or a whole study: one small file for each format."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from autosearch.export.cache_dit import write_cache_dit
from autosearch.export.diffusers_folder import write_diffusers
from autosearch.export.recipe_json import write_recipe
from autosearch.export.sigmas import write_sigma_text, write_sigmas
from autosearch.registry import Parts
from autosearch.study.study import Study

__all__ = ["FORMATS", "Format", "find_format"]


@dataclass(frozen=True)
class Format:
    """A way to hand over a recipe or a study.

    Attributes:
        name: its name on the command line.
        summary: what it is, in one line.
        kind: what ``write`` takes and returns: for a ``file``, a recipe and a path, and for a
            ``folder`` also the settings of the model that was searched; both return what the user
            should know about it, one line each. For a ``study``, a study, a place such as a path,
            and the name it gets there or None; it returns what came of it, in one line.
        write: writes it.
    """

    name: str
    summary: str
    kind: Literal["file", "folder", "study"]
    write: Callable[..., Any]


def _write_optuna(study: Study, place: str, name: str | None) -> str:
    # Imported when it is used: it takes a second.
    from autosearch.export.optuna_study import write_optuna

    return write_optuna(study, place, name)


_BUILTIN: tuple[Format, ...] = (
    Format("json", "the recipe itself", "file", write_recipe),
    Format("sigmas", "noise levels and times alone, as JSON", "file", write_sigmas),
    Format(
        "sigma-text",
        "noise levels as one line of text, for node editors",
        "file",
        write_sigma_text,
    ),
    Format("cache-dit", "which steps compute, as cache-dit takes it", "file", write_cache_dit),
    Format(
        "diffusers", "a folder with programs for a diffusers pipeline", "folder", write_diffusers
    ),
    Format("optuna", "the whole study, for Optuna's dashboard", "study", _write_optuna),
)


FORMATS = Parts(
    "format", {form.name: form for form in _BUILTIN}, Format, group="autosearch.exports"
)


def find_format(name: str) -> Format:
    """Find a format by its name.

    Raises:
        UserError: for an unknown one, with the nearest, and for another package's that is broken.
    """
    return FORMATS.find(name, where="--format")
