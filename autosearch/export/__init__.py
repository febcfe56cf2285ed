"""Handing a recipe over, or a whole study: one small file for each format."""

from autosearch.errors import unknown_name
from autosearch.export.base import Format, StudyFormat, StudyWriter, Writer
from autosearch.export.optuna_study import write_optuna
from autosearch.export.pick import knee, pick
from autosearch.export.recipe_json import write_recipe
from autosearch.export.sigmas import sigmas_data, write_sigmas

__all__ = [
    "FORMATS",
    "STUDY_FORMATS",
    "Format",
    "StudyFormat",
    "StudyWriter",
    "Writer",
    "find_format",
    "knee",
    "pick",
    "sigmas_data",
    "write_optuna",
    "write_recipe",
    "write_sigmas",
]

FORMATS: tuple[Format, ...] = (
    Format("json", "the recipe itself", write_recipe),
    Format("sigmas", "noise levels and times alone, as JSON", write_sigmas),
)

STUDY_FORMATS: tuple[StudyFormat, ...] = (
    StudyFormat("optuna", "the whole study, for Optuna's dashboard", write_optuna),
)


def find_format(name: str) -> Format | StudyFormat:
    """The format of a name, of one recipe or of a study.

    Raises:
        UserError: for an unknown one, with the nearest.
    """
    forms: tuple[Format | StudyFormat, ...] = (*FORMATS, *STUDY_FORMATS)
    known = {form.name: form for form in forms}
    if name not in known:
        raise unknown_name("format", name, known, where="--format")
    return known[name]
