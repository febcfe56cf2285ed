"""Fits of all times of a recipe to one fine trajectory."""

from collections.abc import Sequence
from typing import Any, Protocol

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.denoiser import Denoiser
from autosearch.recipe import Recipe

__all__ = ["fit_of_times"]


class _Fitted(Protocol):
    """The fitted recipe."""

    def __call__(
        self, recipe: Recipe, calibrator: Calibrator, /, *, samples: int, rounds: int, fine: int
    ) -> Recipe: ...


class _Forwards(Protocol):
    """What it takes at most, but for the fine trajectory."""

    def __call__(self, recipe: Recipe, /, *, samples: int, rounds: int) -> float: ...


def fit_of_times(
    summary: str,
    fitted: _Fitted,
    forwards: _Forwards,
    *,
    samples: Setting,
    rounds: int,
    fine: int,
) -> Fit:
    """A fit whose settings are the samples, the rounds of descent and the fine steps."""

    def apply(recipe: Recipe, calibrator: Calibrator, values: Sequence[Any]) -> Recipe:
        count, most, steps = (int(value) for value in values)
        return fitted(recipe, calibrator, samples=count, rounds=most, fine=steps)

    def cost(recipe: Recipe, denoiser: Denoiser, values: Sequence[Any]) -> float:
        count, most, steps = (int(value) for value in values)
        return count * steps + forwards(recipe, samples=count, rounds=most)

    settings = samples, Setting("rounds", rounds, 1, 1000), Setting("fine steps", fine, 2, 1000)
    return Fit(summary, settings, apply, cost, "time")
