"""Where a search starts besides its baselines: recipes that other searches found (``init``)."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.diffusion.artifact_store import carry_artifacts
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.study import Study

__all__ = ["load_warm_start"]

_log = logging.getLogger(__name__)
_WHERE = "init"


def load_warm_start(sources: Sequence[str], folder: Path | None = None) -> dict[str, Recipe]:
    """The recipes of studies' fronts, ``front.json`` files and recipes' files, by name.

    Args:
        sources: paths of any of these.
        folder: of the study that starts from them; their artifacts are copied there. Without it
            the sources are only checked.

    Raises:
        UserError: for a place that holds none of these.
    """
    recipes: dict[str, Recipe] = {}
    for source in sources:
        path = Path(source)
        for name, recipe in _recipes(path).items():
            if folder is not None:
                carry_artifacts(recipe, path if path.is_dir() else path.parent, folder)
            recipes[name] = recipe
    return recipes


def _recipes(path: Path) -> dict[str, Recipe]:
    if path.is_dir():
        return _front(Front.of(Study.read(path)).to_dict(), path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "not JSON"
        raise UserError(
            f"{_WHERE}: {path}: {reason}; give a study, a front.json or a recipe"
        ) from None
    if isinstance(data, Mapping) and "points" in data:
        return _front(data, path)
    return {path.stem: Recipe.from_dict(data, where=f"{_WHERE}: {path}")}


def _front(table: Mapping[str, Any], path: Path) -> dict[str, Recipe]:
    """The recipes on a front by the study's name and their number."""
    try:
        recipes = {
            f"{table['study']}#{point['id']}": point["recipe"]
            for point in table["points"]
            if point["on_front"]
        }
    except (KeyError, TypeError):
        raise UserError(f"{_WHERE}: {path}: no front of a study; give another") from None
    if not recipes:
        _log.warning("%s: %s: nothing on its front yet", _WHERE, path)
    return {
        name: Recipe.from_dict(data, where=f"{_WHERE}: {path}, {name}")
        for name, data in recipes.items()
    }
