"""``sigma-text``: the noise levels as one line, for node editors with a field for them."""

from collections.abc import Sequence
from pathlib import Path

from autosearch.export.sigmas import sigmas_data
from autosearch.recipe import Recipe
from autosearch.text import write_text

__all__ = ["write_sigma_text"]


def write_sigma_text(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write K + 1 sigmas with commas between them, the last one the end's.

    They are ``sigma / alpha``, and ``sigma`` for flow models, as such editors take them.
    """
    data, lost = sigmas_data(recipe)
    write_text(path, ", ".join(f"{sigma:.9g}" for sigma in data["sigmas"]) + "\n")
    if not lost:
        return ()
    return [f"sigmas alone do not carry this recipe's {', '.join(lost)}"]
