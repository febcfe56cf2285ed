"""Distance of the samples' distribution to that of a fine trajectory from the same noise.

A Frechet distance to real data at N samples carries the noise of their moments, e: of a recipe of
bias b it sees |b + e|^2, and a search for the least one ends at b = -e, which is best on those
samples alone. The fine trajectory from the same noise carries the same e. Its distance is |b|^2:
some hundred samples order recipes as thousands do against the data. What it cannot see is how far
the model itself is from the data, which no way of sampling from it changes for the better but by
luck.
"""

from collections.abc import Mapping

import numpy as np
import torch

from autosearch.objectives.base import Array, Estimate, Objective, Rows
from autosearch.objectives.frechet import FrechetReference, Moments
from autosearch.objectives.jackknife import cut, from_leave_one_out
from autosearch.objectives.rows import generated

__all__ = ["TeacherFd", "components"]

# So many samples for each principal component; one with less than this share of the largest
# variance says nothing.
_EACH = 8
_LEAST = 1e-6


def components(wanted: Array) -> tuple[Array, Array]:
    """The largest principal components of samples [N, D]: axes [D, D'], variances [D'].

    At most one for every eight samples.
    """
    variances, axes = np.linalg.eigh(np.cov(wanted.T).reshape(wanted.shape[1], -1))
    most = max(len(wanted) // _EACH, 1)
    kept = np.flatnonzero(variances > _LEAST * variances[-1])[-most:]
    return axes[:, kept], variances[kept]


class TeacherFd(Objective):
    """The squared Frechet distance on principal components of the fine trajectory's samples.

    Of the samples themselves (latents, where the model has them), not of features. Not corrected
    for the number of samples: what they have in common cancels, and what is left is small.
    """

    name = "teacher_fd"
    summary = "Frechet distance to the fine trajectory's samples from the same noise"
    unit = "FD"
    needs = frozenset({"final", "teacher"})

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """Enough for a dozen components; the more samples, the more of them are looked at."""
        return 100

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """From ``final`` and ``teacher`` [N, D]; the reference is not used."""
        ends = generated(rows, "final", objective=self.name)
        wanted = generated(rows, "teacher", objective=self.name)
        axes, _ = components(wanted)
        middle = wanted.mean(axis=0)
        here, there = (torch.from_numpy(cut((x - middle) @ axes, blocks)) for x in (ends, wanted))
        whole = [Moments.of(x.flatten(0, 1)) for x in (here, there)]
        without = [
            _distance(whole[0] - Moments.of(here[block]), whole[1] - Moments.of(there[block]))
            for block in range(blocks)
        ]
        return from_leave_one_out(_distance(*whole), np.array(without), corrected=False)


def _distance(here: Moments, there: Moments) -> float:
    target = FrechetReference.of(there.mean.numpy(), there.covariance.numpy())
    # Rounding makes the distance of equal samples slightly negative.
    return max(target.distance(here.mean - there.mean, here.covariance), 0.0)
