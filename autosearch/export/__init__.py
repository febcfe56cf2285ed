"""Handing a recipe over: one small file for each format."""

from autosearch.errors import unknown_name
from autosearch.export.base import Format, Writer
from autosearch.export.pick import knee, pick
from autosearch.export.recipe_json import write_recipe
from autosearch.export.sigmas import sigmas_data, write_sigmas

__all__ = [
    "FORMATS",
    "Format",
    "Writer",
    "find_format",
    "knee",
    "pick",
    "sigmas_data",
    "write_recipe",
    "write_sigmas",
]

FORMATS: tuple[Format, ...] = (
    Format("json", "the recipe itself", write_recipe),
    Format("sigmas", "noise levels and times alone, as JSON", write_sigmas),
)


def find_format(name: str) -> Format:
    """The format of a name.

    Raises:
        UserError: for an unknown one, with the nearest.
    """
    for form in FORMATS:
        if form.name == name:
            return form
    raise unknown_name("format", name, [form.name for form in FORMATS], where="--format")
