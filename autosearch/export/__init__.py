"""Handing a recipe over, or a whole study: one small file for each format."""

from autosearch.diffusion.artifact_store import carry_artifacts
from autosearch.errors import unknown_name
from autosearch.export.base import (
    FolderFormat,
    FolderWriter,
    Format,
    StudyFormat,
    StudyWriter,
    Writer,
)
from autosearch.export.cache_dit import write_cache_dit
from autosearch.export.diffusers_folder import write_diffusers
from autosearch.export.optuna_format import write_optuna
from autosearch.export.recipe_json import write_recipe
from autosearch.export.sigma_text import write_sigma_text
from autosearch.export.sigmas import sigmas_data, write_sigmas
from autosearch.study.pick import Picked, knee, pick, picked

__all__ = [
    "FOLDER_FORMATS",
    "FORMATS",
    "STUDY_FORMATS",
    "FolderFormat",
    "FolderWriter",
    "Format",
    "Picked",
    "StudyFormat",
    "StudyWriter",
    "Writer",
    "carry_artifacts",
    "find_format",
    "knee",
    "pick",
    "picked",
    "sigmas_data",
    "write_cache_dit",
    "write_diffusers",
    "write_optuna",
    "write_recipe",
    "write_sigma_text",
    "write_sigmas",
]

FORMATS: tuple[Format, ...] = (
    Format("json", "the recipe itself", write_recipe),
    Format("sigmas", "noise levels and times alone, as JSON", write_sigmas),
    Format("sigma-text", "noise levels as one line of text, for node editors", write_sigma_text),
    Format("cache-dit", "which steps compute, as cache-dit takes it", write_cache_dit),
)

FOLDER_FORMATS: tuple[FolderFormat, ...] = (
    FolderFormat("diffusers", "a folder with programs for a diffusers pipeline", write_diffusers),
)

STUDY_FORMATS: tuple[StudyFormat, ...] = (
    StudyFormat("optuna", "the whole study, for Optuna's dashboard", write_optuna),
)


def find_format(name: str) -> Format | FolderFormat | StudyFormat:
    """The format of a name, of one recipe or of a study.

    Raises:
        UserError: for an unknown one, with the nearest.
    """
    forms: tuple[Format | FolderFormat | StudyFormat, ...]
    forms = (*FORMATS, *FOLDER_FORMATS, *STUDY_FORMATS)
    known = {form.name: form for form in forms}
    if name not in known:
        raise unknown_name("format", name, known, where="--format")
    return known[name]
