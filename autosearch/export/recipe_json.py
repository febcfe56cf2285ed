"""``json``: the recipe itself."""

import json
from collections.abc import Sequence
from pathlib import Path

from autosearch.recipe import Recipe
from autosearch.text import write_text

__all__ = ["write_recipe"]


def write_recipe(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write the recipe as :meth:`autosearch.recipe.Recipe.load` reads it; nothing is lost."""
    write_text(path, json.dumps(recipe.to_dict(), indent=1) + "\n")
    return ()
