"""Times from which a recipe ends where a fine trajectory ends, sample by sample.

The distance between where a recipe and a fine trajectory lead from the same noise is precise on a
few samples, where a quality such as FID takes thousands; so a fit of all times costs about as much
as a candidate of a search. In the spirit of LD3 (ICLR 2025), which learns times by gradients
through the sampler. Here forwards alone are needed.
"""

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.descent import descend, most_evaluations
from autosearch.baselines.fitted.time_fits import fit_of_times
from autosearch.baselines.fitted.trajectory_ends import Ends
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
    calibrator: Calibrator,
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
    ends = Ends("matched", recipe, calibrator, samples=samples, fine=fine)
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


FITS = {
    "matched": fit_of_times(
        "times that end nearest to a fine trajectory from the same noise, by least squares",
        matched,
        nearest_forwards,
        samples=Setting("samples", _SAMPLES, 1, 10_000),
        rounds=_ROUNDS,
        fine=_FINE,
    )
}
