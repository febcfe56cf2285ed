"""An export of one's own: a line of CSV for each step."""

from collections.abc import Sequence
from pathlib import Path

from autosearch.export import Format
from autosearch.recipe import Recipe
from autosearch.text import write_text


def write_csv(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write the steps; returns what the user should know of it, one line each."""
    rows = [f"{step.time:.9g},{step.order},{step.form}" for step in recipe.steps]
    write_text(path, "\n".join(["time,order,form", *rows]) + "\n")
    if any(step.sites or step.gate or step.guidance for step in recipe.steps):
        return ["the table does not carry guidance, and what steps leave out"]
    return ()


CSV = Format("csv", "a line for each step: time, order and form", "file", write_csv)
