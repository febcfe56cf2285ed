"""Times from which a recipe ends where a fine trajectory ends: in each sample, or as a whole.

``matched``: the distance between where a recipe and a fine trajectory lead from the same noise is
precise on a few samples, where a quality such as FID takes thousands; so a fit of all times costs
about as much as a candidate of a search. In the spirit of LD3 (ICLR 2025), which learns times by
gradients through the sampler. Here forwards alone are needed.

``moments``: what FID asks for is a mean and a covariance, and a Fréchet distance is a sum of
squares: those of the two means' difference, and of how far the optimal transport between the two
Gaussians moves. Both sides are measured on the same noise, so that what a few samples have in
common cancels: 160 tell recipes apart as well as thousands against the true moments. Few steps do
not end where a fine trajectory does, sample by sample, and need not; the matched times are only
where the descent begins. Distances are measured on principal components of the fine trajectory's
ends, not on features: what is nearest here is a good start for a search on features, and optimal
only where the two agree.
"""

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.descent import descend, most_evaluations
from autosearch.baselines.fitted.trajectory_ends import Ends
from autosearch.diffusion.denoiser import Denoiser
from autosearch.objectives.teacher_fd import components, moment_residuals
from autosearch.recipe import Recipe

__all__ = ["FITS", "MomentsFit", "match_ends", "match_moments"]

# Defaults of matched times, and of moments.
_MATCHED_SAMPLES, _MATCHED_ROUNDS, _MATCHED_FINE = 32, 4, 100
_SAMPLES, _ROUNDS, _FINE = 160, 2, 50
# Evaluations of a round of descent.
_MATCHED_TRIES, _TRIES = 12, 8
# Recipes of so few times have several basins, and random search finds them: among so many draws,
# on a share of the samples, the best ones are descended from.
_FEW = 4
_DRAWS = 40
_SPREAD = 0.7
_SCREEN = 4
_BEST = 2
# A difference of ends, and a residual of moments, that is no improvement on any.
_FAR_ENDS, _FAR = 10.0, 3.0


def match_ends(
    recipe: Recipe,
    calibrator: Calibrator,
    samples: int = _MATCHED_SAMPLES,
    rounds: int = _MATCHED_ROUNDS,
    fine: int = _MATCHED_FINE,
) -> Recipe:
    """The recipe at the times that end nearest to a fine trajectory, all else as it was.

    Both end clean, also where the recipe's own grid stops before, as ``few-step`` does.

    Args:
        recipe: deterministic, without weights.
        calibrator: the model.
        samples: to measure distances on.
        rounds: how often slopes are measured, at most.
        fine: steps of the fine trajectory, about.

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """
    ends = Ends("matched", recipe, calibrator, samples=samples, fine=fine)
    return ends.recipe(_nearest(ends, samples=samples, rounds=rounds))


def _nearest(
    ends: Ends, *, samples: int = _MATCHED_SAMPLES, rounds: int = _MATCHED_ROUNDS
) -> Array:
    """The gaps [K] from which as many samples end nearest to where they should."""
    wanted = ends.wanted[:samples]

    def residuals(gaps: Array) -> Array:
        here = ends.reach(gaps, len(wanted))
        found: Array = np.full(wanted.size, _FAR_ENDS) if here is None else (here - wanted).ravel()
        return found

    return descend(residuals, ends.start, rounds=rounds, tries=_MATCHED_TRIES)[0]


def _nearest_forwards(
    recipe: Recipe, *, samples: int = _MATCHED_SAMPLES, rounds: int = _MATCHED_ROUNDS
) -> float:
    """The most forwards of one sample that :func:`_nearest` takes."""
    count = len(recipe.steps)
    return float(samples * count * most_evaluations(count, rounds=rounds, tries=_MATCHED_TRIES))


class MomentsFit:
    """The Fréchet distance to a set of samples [N, D], as residuals whose squares add up to it.

    On the D' principal components of the set, at most one for every eight samples.
    """

    def __init__(self, wanted: Array) -> None:
        self._mean = wanted.mean(axis=0)
        self._axes, variances = components(wanted)
        self._scales = np.sqrt(variances)

    def residuals(self, x: Array | None) -> Array:
        """[D' + D'^2] residuals of samples [N, D]; far ones for none."""
        size = len(self._scales)
        if x is None or not np.isfinite(x).all():
            return np.full(size + size**2, _FAR)
        return moment_residuals((x - self._mean) @ self._axes, self._scales)

    def distance(self, x: Array | None) -> float:
        """The squared Fréchet distance."""
        return float((self.residuals(x) ** 2).sum())


def match_moments(
    recipe: Recipe,
    calibrator: Calibrator,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
    fine: int = _FINE,
) -> Recipe:
    """The recipe at the times whose ends have the moments of a fine trajectory's.

    What it takes and raises are those of :func:`match_ends`.
    """
    ends = Ends("moments", recipe, calibrator, samples=samples, fine=fine)
    distance = MomentsFit(ends.wanted)

    def residuals(gaps: Array) -> Array:
        return distance.residuals(ends.reach(gaps, samples))

    if len(recipe.steps) > _FEW:
        starts = [_nearest(ends)]
    else:
        rng = np.random.default_rng([calibrator.seed, len(recipe.steps)])
        starts = _drawn(ends, samples=max(samples // _SCREEN, 2), rng=rng)
    found = [descend(residuals, start, rounds=rounds, tries=_TRIES) for start in starts]
    return ends.recipe(min(found, key=lambda one: one[1])[0])


def _drawn(ends: Ends, *, samples: int, rng: Rng) -> list[Array]:
    """The best of random gaps and of the recipe's own, the best first."""
    own = ends.start
    draws = [rng.normal(0.0, _SPREAD, len(own)) + (own if i % 2 else 0.0) for i in range(_DRAWS)]
    distance = MomentsFit(ends.wanted[:samples])
    return sorted((own, *draws), key=lambda gaps: distance.distance(ends.reach(gaps, samples)))[
        :_BEST
    ]


def _forwards(recipe: Recipe, denoiser: Denoiser, samples: int, rounds: int, fine: int) -> float:
    count = len(recipe.steps)
    descent = samples * count * most_evaluations(count, rounds=rounds, tries=_TRIES)
    if count > _FEW:
        return samples * fine + descent + _nearest_forwards(recipe)
    return samples * fine + (_DRAWS + 1) * samples / _SCREEN * count + _BEST * descent


FITS = {
    "matched": Fit(
        "times that end nearest to a fine trajectory from the same noise, by least squares",
        (
            Setting("samples", _MATCHED_SAMPLES, 1, 10_000),
            Setting("rounds", _MATCHED_ROUNDS, 1, 1000),
            Setting("fine steps", _MATCHED_FINE, 2, 1000),
        ),
        match_ends,
        "time",
        forwards=lambda recipe, denoiser, samples, rounds, fine: (
            samples * fine + _nearest_forwards(recipe, samples=samples, rounds=rounds)
        ),
    ),
    "moments": Fit(
        "times whose ends have the mean and covariance of a fine trajectory's on the same noise",
        (
            Setting("samples", _SAMPLES, 16, 100_000),
            Setting("rounds", _ROUNDS, 1, 1000),
            Setting("fine steps", _FINE, 2, 1000),
        ),
        match_moments,
        "time",
        forwards=_forwards,
    ),
}
