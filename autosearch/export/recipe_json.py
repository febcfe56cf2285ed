"""``json``: the recipe itself."""

import json
from collections.abc import Sequence
from pathlib import Path

from autosearch.export.base import write_text
from autosearch.recipe import Recipe

__all__ = ["write_recipe"]


def write_recipe(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write the recipe as :meth:`autosearch.recipe.Recipe.load` reads it; nothing is lost."""
    write_text(path, json.dumps(recipe.to_dict(), indent=1) + "\n")
    return ()
