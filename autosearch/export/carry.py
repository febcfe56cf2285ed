"""What a recipe needs besides itself goes along with it."""

from pathlib import Path

from autosearch.library import FOLDER, Library
from autosearch.recipe import Recipe

__all__ = ["carry_artifacts"]


def carry_artifacts(recipe: Recipe, source: Path, target: Path) -> list[Path]:
    """Copy a recipe's artifacts from one folder's ``artifacts`` to another's.

    Raises:
        UserError: when one is missing or damaged, or the target cannot be written.
    """
    library, copies = Library([source / FOLDER]), Library([target / FOLDER])
    for artifact in recipe.artifacts.values():
        copies.add(artifact, library.content(artifact))
    return [target / FOLDER / f"{one.key}.safetensors" for one in recipe.artifacts.values()]
