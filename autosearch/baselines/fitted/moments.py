"""Times from which a recipe's samples are distributed like a fine trajectory's.

What FID asks for is a mean and a covariance, and a Fréchet distance is a sum of squares: those of
the two means' difference, and of how far the optimal transport between the two Gaussians moves.
Both sides are measured on the same noise, so that what a few samples have in common cancels: 160
tell recipes apart as well as thousands against the true moments. Few steps do not end where a fine
trajectory does, sample by sample, and need not; the matched times (:mod:`autosearch.baselines.fitted.matched`)
are only where the descent begins.

Distances are measured on principal components of the fine trajectory's ends, not on features: what
is nearest here is a good start for a search on features, and optimal only where the two agree.
"""

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.descent import descend, most_evaluations
from autosearch.baselines.fitted.matched import nearest, nearest_forwards
from autosearch.baselines.fitted.time_fits import fit_of_times
from autosearch.baselines.fitted.trajectory_ends import Ends
from autosearch.objectives.teacher_fd import components
from autosearch.recipe import Recipe

__all__ = ["FITS", "MomentsFit", "moments"]

_SAMPLES = 160
_ROUNDS = 2
_TRIES = 8
_FINE = 50
# Recipes of so few times have several basins, and random search finds them: among so many draws,
# on a share of the samples, the best ones are descended from.
_FEW = 4
_DRAWS = 40
_SPREAD = 0.7
_SCREEN = 4
_BEST = 2
# A residual that is no improvement on any.
_FAR = 3.0

Array = NDArray[np.float64]


class MomentsFit:
    """The Fréchet distance to a set of samples [N, D], as residuals whose squares add up to it.

    On the D' principal components of the set, at most one for every eight samples.
    """

    def __init__(self, wanted: Array) -> None:
        self._mean = wanted.mean(axis=0)
        self._axes, variances = components(wanted)
        self._scales = np.sqrt(variances)

    def missed(self, x: Array | None) -> Array:
        """[D' + D'^2] residuals of samples [N, D]; far ones for none."""
        size = len(self._scales)
        if x is None or not np.isfinite(x).all():
            return np.full(size + size**2, _FAR)
        here = (x - self._mean) @ self._axes
        # The optimal transport from N(m, S) to N(m', S') is linear, by T = R^-1 (R S' R)^1/2 R^-1
        # with R the root of S; it moves by the mean square |m' - m|^2 + |(T - 1) R|^2.
        root = self._scales
        squared, turn = np.linalg.eigh(root[:, None] * np.cov(here.T).reshape(size, -1) * root)
        inner = (turn * np.sqrt(np.maximum(squared, 0.0))) @ turn.T
        moved = inner / root[:, None] - np.diag(root)
        return np.concatenate([here.mean(axis=0), moved.ravel()])

    def distance(self, x: Array | None) -> float:
        """The squared Fréchet distance."""
        return float((self.missed(x) ** 2).sum())


def moments(
    recipe: Recipe,
    calibrator: Calibrator,
    *,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
    fine: int = _FINE,
) -> Recipe:
    """The recipe at the times whose ends have the moments of a fine trajectory's.

    Args:
        samples: to measure distances on.
        rounds: how often slopes are measured, at most.
        fine: steps of the fine trajectory, about.

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """
    ends = Ends("moments", recipe, calibrator, samples=samples, fine=fine)
    distance = MomentsFit(ends.wanted)

    def missed(gaps: Array) -> Array:
        return distance.missed(ends.of(gaps, samples))

    if len(recipe.steps) > _FEW:
        starts = [nearest(ends)]
    else:
        starts = _drawn(
            ends, samples=max(samples // _SCREEN, 2), rng=_generator(calibrator, recipe)
        )
    found = [descend(missed, start, rounds=rounds, tries=_TRIES) for start in starts]
    return ends.recipe(min(found, key=lambda one: one[1])[0])


def _drawn(ends: Ends, *, samples: int, rng: np.random.Generator) -> list[Array]:
    """The best of random gaps and of the recipe's own, the best first."""
    own = ends.start
    draws = [rng.normal(0.0, _SPREAD, len(own)) + (own if i % 2 else 0.0) for i in range(_DRAWS)]
    distance = MomentsFit(ends.wanted[:samples])
    return sorted((own, *draws), key=lambda gaps: distance.distance(ends.of(gaps, samples)))[:_BEST]


def _generator(calibrator: Calibrator, recipe: Recipe) -> np.random.Generator:
    return np.random.default_rng([calibrator.seed, len(recipe.steps)])


def _forwards(recipe: Recipe, *, samples: int, rounds: int) -> float:
    count = len(recipe.steps)
    descent = samples * count * most_evaluations(count, rounds=rounds, tries=_TRIES)
    if count > _FEW:
        return descent + nearest_forwards(recipe)
    return (_DRAWS + 1) * samples / _SCREEN * count + _BEST * descent


FITS = {
    "moments": fit_of_times(
        "times whose ends have the mean and covariance of a fine trajectory's on the same noise",
        moments,
        _forwards,
        samples=Setting("samples", _SAMPLES, 16, 100_000),
        rounds=_ROUNDS,
        fine=_FINE,
    )
}
