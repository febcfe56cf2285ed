"""Times from which a recipe ends where a fine trajectory ends, sample by sample.

The distance between where a recipe and a fine trajectory lead from the same noise is precise on a
few samples, where a quality such as FID takes thousands; so a fit of all times costs about as much
as a candidate of a search. In the spirit of LD3 (ICLR 2025), which learns times by gradients
through the sampler. Here forwards alone are needed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines.base import Setting
from autosearch.diffusion.denoiser import Denoiser
from autosearch.fits.base import Fit
from autosearch.fits.descent import descend, most_evaluations
from autosearch.fits.ends import Ends
from autosearch.fits.lab import Lab
from autosearch.recipe import Recipe

__all__ = ["FITS", "matched", "nearest", "nearest_forwards"]

_SAMPLES = 32
_ROUNDS = 4
_TRIES = 12
_FINE = 100
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
        rounds: how often slopes are measured, at most.
        fine: steps of the fine trajectory, about.

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """
    ends = Ends("matched", recipe, lab, samples=samples, fine=fine)
    return ends.recipe(nearest(ends, samples=samples, rounds=rounds))


def nearest(ends: Ends, *, samples: int = _SAMPLES, rounds: int = _ROUNDS) -> Array:
    """The gaps [K] from which as many samples end nearest to where they should."""
    wanted = ends.wanted[:samples]

    def missed(gaps: Array) -> Array:
        here = ends.of(gaps, len(wanted))
        found: Array = np.full(wanted.size, _FAR) if here is None else (here - wanted).ravel()
        return found

    return descend(missed, ends.start, rounds=rounds, tries=_TRIES)[0]


def nearest_forwards(recipe: Recipe, *, samples: int = _SAMPLES, rounds: int = _ROUNDS) -> float:
    """What :func:`nearest` takes at most."""
    count = len(recipe.steps)
    return float(samples * count * most_evaluations(count, rounds=rounds, tries=_TRIES))


def _fit(recipe: Recipe, lab: Lab, values: Sequence[Any]) -> Recipe:
    samples, rounds, fine = (int(value) for value in values)
    return matched(recipe, lab, samples=samples, rounds=rounds, fine=fine)


def _forwards(recipe: Recipe, denoiser: Denoiser, values: Sequence[Any]) -> float:
    samples, rounds, fine = values
    return float(samples * fine) + nearest_forwards(recipe, samples=samples, rounds=rounds)


FITS = {
    "matched": Fit(
        "times that end nearest to a fine trajectory from the same noise, by least squares",
        (
            Setting("samples", _SAMPLES, 1, 10_000),
            Setting("rounds", _ROUNDS, 1, 1000),
            Setting("fine steps", _FINE, 2, 1000),
        ),
        _fit,
        _forwards,
        "time",
    )
}
