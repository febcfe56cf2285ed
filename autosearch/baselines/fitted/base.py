"""What a fit is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.denoiser import Denoiser
from autosearch.recipe import Recipe

__all__ = ["Fit", "no_forwards"]


@dataclass(frozen=True)
class Fit:
    """A rule that changes a recipe after it measured the model.

    Attributes:
        settings: in the order in which a name gives them, with the published values.
        apply: the fitted recipe, from the unfitted one, a calibrator, and a value for each setting. It
            draws nothing but from the calibrator, so that equal seeds fit equal recipes.
        forwards: about how many forwards of one sample it takes, from the unfitted recipe, the
            model and the settings, without guidance; for a dry run.
        owns: the fields that it decides; two rules of one recipe must not share any.
        repeated: whether a name may give the last setting as often as it likes.
        sites: whether the model must have blocks.
        path: whether it takes the path of a file instead of settings, as text.
        shared: whether all names with the same settings share one artifact, measured once.
    """

    summary: str
    settings: tuple[Setting, ...]
    apply: Callable[[Recipe, Calibrator, Sequence[Any]], Recipe]
    forwards: Callable[[Recipe, Denoiser, Sequence[Any]], float]
    owns: str
    repeated: bool = False
    sites: bool = False
    path: bool = False
    shared: bool = False


def no_forwards(recipe: Recipe, denoiser: Denoiser, values: Sequence[Any]) -> float:
    """Of a fit that reads what was measured before."""
    return 0.0
