"""Times from which a recipe ends where a fine trajectory ends, by least squares.

The distance between where a recipe and a fine trajectory lead from the same noise is precise on a
few samples, where a quality such as FID takes thousands; so a fit of all times costs about as much
as a candidate of a search. In the spirit of LD3 (ICLR 2025), which learns times by gradients through
the sampler. Here Gauss-Newton steps on finite differences, which need forwards alone: as many
trajectories for each round as there are times, and one more.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares

from autosearch.baselines.base import Setting
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.fits.base import Fit
from autosearch.fits.fine import fine_states
from autosearch.fits.lab import Lab
from autosearch.recipe import Recipe

__all__ = ["FITS", "matched"]

_SAMPLES = 32
_ROUNDS = 8
_FINE = 100
# Of finite differences, in logarithms of gaps.
_STEP = 1e-2
# The least share of the whole range between two times to begin with.
_LEAST = 1e-2
# A difference that is no improvement on any.
_FAR = 10.0

Array = NDArray[np.float64]


def matched(
    recipe: Recipe,
    lab: Lab,
    *,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
    fine: int = _FINE,
) -> Recipe:
    """The recipe at the times that end nearest to a fine trajectory, all else as it was.

    Args:
        samples: to measure distances on.
        rounds: at most so many steps of Gauss-Newton.
        fine: steps of the fine trajectory, about.

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """
    if any(step.eta > 0 for step in recipe.steps):
        raise UserError("matched: ends are compared without noise on the way; set eta to 0")
    if any(step.weights is not None for step in recipe.steps):
        raise UserError("matched: the recipe's weights belong to its times; leave one of them out")
    first = recipe.steps[0].model_copy(update={"time": lab.denoiser.schedule.first, "log_snr": None})
    whole = recipe.model_copy(update={"steps": [first, *recipe.steps[1:]]})
    wanted = fine_states(whole, lab, steps=fine, samples=samples)[-1]
    distance = _Distance(recipe, lab, wanted)
    start = distance.axis.gaps([step.time for step in recipe.steps])
    found = least_squares(distance.missed, start, jac=distance.slopes, max_nfev=rounds)
    return distance.recipe(found.x)


class _Distance:
    """How far a recipe ends from where it should, as a function of its gaps."""

    def __init__(self, recipe: Recipe, lab: Lab, wanted: torch.Tensor) -> None:
        self.axis = _Axis(lab.denoiser.schedule)
        self._recipe = recipe
        self._lab = lab
        self._wanted = wanted
        self._last: tuple[Array, Array] | None = None

    def recipe(self, gaps: Array) -> Recipe:
        """The recipe with these gaps between its times."""
        steps = [
            step.model_copy(update={"time": time, "log_snr": None})
            for step, time in zip(self._recipe.steps, self.axis.times(gaps), strict=True)
        ]
        return self._recipe.model_copy(update={"steps": steps, "end": "clean"})

    def missed(self, gaps: Array) -> Array:
        """[samples * size] differences; far ones for gaps that times cannot have."""
        if self._last is None or not np.array_equal(self._last[0], gaps):
            self._last = gaps.copy(), self._ends(gaps)
        return self._last[1]

    def slopes(self, gaps: Array) -> Array:
        """[samples * size, K] by finite differences."""
        here = self.missed(gaps)
        there = [self._ends(gaps + _STEP * unit) for unit in np.eye(len(gaps))]
        found: Array = (np.stack(there, axis=1) - here[:, None]) / _STEP
        return found

    def _ends(self, gaps: Array) -> Array:
        try:
            end = self._lab.states(self.recipe(gaps), len(self._wanted))[-1].x
        except UserError:  # equal times
            return np.full(self._wanted.numel(), _FAR)
        found: Array = (end - self._wanted).double().flatten().cpu().numpy()
        return found


class _Axis:
    """Decreasing times as free numbers: gaps between them in log-SNR, which add up to the range.

    Both ends of the range have a gap too. Gaps are logarithms, relative to the last one.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self._schedule = schedule
        low = schedule.log_snr(schedule.first)
        if not math.isfinite(low):
            span = schedule.first - schedule.last
            low = schedule.log_snr(schedule.first - 1e-3 * span)
        self._low, self._high = low, schedule.log_snr(schedule.last)

    def times(self, gaps: Array) -> list[float]:
        """[K] times of [K] numbers."""
        sizes = np.exp(np.append(gaps, 0.0) - max(gaps.max(), 0.0))
        places = np.cumsum(sizes)[:-1] / sizes.sum()
        levels = self._low + (self._high - self._low) * places
        return [self._schedule.rounded(self._schedule.time(level)) for level in levels.tolist()]

    def gaps(self, times: Sequence[float]) -> Array:
        """The inverse, but for times too near to one another or to an end."""
        levels = np.array([self._schedule.log_snr(time) for time in times])
        places = np.clip((levels - self._low) / (self._high - self._low), 0.0, 1.0)
        sizes = np.log(np.maximum(np.diff([0.0, *places, 1.0]), _LEAST))
        found: Array = sizes[:-1] - sizes[-1]
        return found


def _fit(recipe: Recipe, lab: Lab, values: Sequence[Any]) -> Recipe:
    samples, rounds, fine = (int(value) for value in values)
    return matched(recipe, lab, samples=samples, rounds=rounds, fine=fine)


FITS = {
    "matched": Fit(
        "times that end nearest to a fine trajectory from the same noise, by least squares",
        (
            Setting("samples", _SAMPLES, 1, 10_000),
            Setting("rounds", _ROUNDS, 1, 1000),
            Setting("fine steps", _FINE, 2, 1000),
        ),
        _fit,
        "time",
    )
}
