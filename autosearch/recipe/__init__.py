"""The recipe: everything needed to sample, as plain, versioned JSON data.

Loading a recipe executes nothing. Floats keep 9 significant digits, 4 and 4.0 are one value,
defaults are left out, so equal recipes are equal texts.
"""

from autosearch.recipe.actions import parse_action
from autosearch.recipe.document import Artifact, ModelKey, Recipe, Recovery, Start
from autosearch.recipe.schema import round_float
from autosearch.recipe.solver import CorrectorStep, Relaxation
from autosearch.recipe.step import Gate, Guidance, Step

__all__ = [
    "Artifact",
    "CorrectorStep",
    "Gate",
    "Guidance",
    "ModelKey",
    "Recipe",
    "Recovery",
    "Relaxation",
    "Start",
    "Step",
    "parse_action",
    "round_float",
]
