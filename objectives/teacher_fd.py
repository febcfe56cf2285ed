"""Distance of the samples' distribution to that of a fine trajectory from the same noise.

A Frechet distance to real data at N samples carries the noise of their moments, e: of a recipe of
bias b it sees |b + e|^2, and a search for the least one ends at b = -e, which is best on those
samples alone. The fine trajectory from the same noise carries the same e. Its distance is |b|^2:
some hundred samples order recipes as thousands do against the data. What it cannot see is how far
the model itself is from the data, which no way of sampling from it changes for the better but by
luck.
"""

from collections.abc import Iterator

import numpy as np
import torch

from autosearch._typing import Array, Rows
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.frechet import FrechetReference, Moments, leave_one_out_moments
from autosearch.objectives.jackknife import cut, from_leave_one_out
from autosearch.objectives.rows import sample_rows

__all__ = ["TeacherFd", "components"]

# So many samples for each principal component; one with less than this share of the largest
# variance says nothing.
_EACH = 8
_LEAST = 1e-6


def components(wanted: Array) -> tuple[Array, Array]:
    """The largest principal components of samples [N, D]: axes [D, D'], variances [D'].

    At most one for every eight samples. O(N D min(N, D)) time: samples of a latent model have more
    dimensions than there are samples.
    """
    count, size = wanted.shape
    if count > size:
        variances, axes = np.linalg.eigh(np.cov(wanted.T).reshape(size, -1))
    else:
        _, roots, turned = np.linalg.svd(wanted - wanted.mean(axis=0), full_matrices=False)
        variances, axes = (roots**2)[::-1] / (count - 1), turned.T[:, ::-1]
    most = max(count // _EACH, 1)
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
    # Enough for a dozen components; the more samples, the more of them are compared.
    least_samples = 100

    def __init__(self) -> None:
        self._targets: dict[tuple[int, int], _Target] = {}

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The distance of ``final`` to ``teacher`` [N, D]; the reference is not used."""
        ends = sample_rows(rows, "final", objective=self.name)
        target = self._target(sample_rows(rows, "teacher", objective=self.name), blocks)
        whole, without = target.distances(ends)
        return from_leave_one_out(whole, without, corrected=False)

    def _target(self, wanted: Array, blocks: int) -> "_Target":
        """All recipes of a search on equal samples have one, and working it out is dear."""
        known = self._targets.get((len(wanted), blocks))
        if known is None or not np.array_equal(known.wanted, wanted):
            known = self._targets[len(wanted), blocks] = _Target(wanted, blocks)
        return known


class _Target:
    """The fine trajectory's samples [N, D], whole and without each block."""

    def __init__(self, wanted: Array, blocks: int) -> None:
        self.wanted = wanted
        self._middle = wanted.mean(axis=0)
        self._axes, _ = components(wanted)
        self._blocks = blocks
        self._references = [
            FrechetReference.of(one.mean.numpy(), one.covariance.numpy())
            for one in self._moments(wanted)
        ]

    def distances(self, ends: Array) -> tuple[float, Array]:
        """Squared distances of samples [N, D]: of all, and [blocks] without each block."""
        pairs = zip(self._moments(ends), self._references, strict=True)
        found = [there.distance(here.mean - there.mean, here.covariance) for here, there in pairs]
        # Rounding makes the distance of equal samples slightly negative.
        distances = [max(distance, 0.0) for distance in found]
        return distances[0], np.array(distances[1:])

    def _moments(self, rows: Array) -> Iterator[Moments]:
        """Moments of rows [N, D] on the components: of all, then without each block."""
        cuts = cut((rows - self._middle) @ self._axes, self._blocks)
        return leave_one_out_moments(torch.from_numpy(cuts))
