"""Distance of the samples' distribution to that of a fine trajectory from the same noise.

A Frechet distance to real data at N samples carries the noise of their moments, e: of a recipe of
bias b it sees |b + e|^2, and a search for the least one ends at b = -e, which is best on those
samples alone. The fine trajectory from the same noise carries the same e. Its distance is |b|^2:
some hundred samples order recipes as thousands do against the data. What it cannot see is how far
the model itself is from the data, which no way of sampling from it changes for the better but by
luck. A recipe that draws noise of its own has an e of its own too, which does not cancel: at a few
hundred samples its distance is mostly that, however good it is. So there is none for such recipes.

A few hundred samples say nothing about the covariance of thousands of dimensions. The distance is
taken in full on as many principal components as they can bear; of what these leave out, each
coordinate's mean and standard deviation are compared. That is all of a shift and of a common
scale, and nothing of correlations beyond the components: the value is at most the samples' own
distance, since that between two wholes is at least that between their parts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array, Rows
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.frechet import FrechetReference, leave_one_out_moments
from autosearch.objectives.jackknife import cut, from_leave_one_out
from autosearch.objectives.rows import sample_rows

__all__ = ["TeacherFd", "TeacherFid", "components", "moment_residuals"]

# So many samples for each principal component; one with less than this share of the largest
# variance says nothing.
_EACH = 8
_LEAST = 1e-6
# Residuals that are handed on, at most.
_SUMS = 128


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


def moment_residuals(inner: Array, scales: Array) -> Array:
    """[D' + D'^2] numbers whose squares add up to a Frechet distance.

    The optimal transport from N(m, S) to N(m', S') is linear, by T = R^-1 (R S' R)^1/2 R^-1 with R
    the root of S; it moves by the mean square |m' - m|^2 + |(T - 1) R|^2.

    Args:
        inner: samples [N, D'], on the principal components of those of the target and less their
            mean.
        scales: [D'] standard deviations of the target.
    """
    size = len(scales)
    covariance = np.cov(inner.T).reshape(size, -1)
    squared, turn = np.linalg.eigh(scales[:, None] * covariance * scales)
    root = (turn * np.sqrt(np.maximum(squared, 0.0))) @ turn.T
    moved = root / scales[:, None] - np.diag(scales)
    return np.concatenate([inner.mean(axis=0), moved.ravel()])


class TeacherFd(Objective):
    """The squared Frechet distance to the fine trajectory's samples from the same noise.

    Of the samples themselves (latents, where the model has them), not of features: in full on
    principal components, coordinate by coordinate in what these leave out. Not corrected for the
    number of samples: what they have in common cancels, and what is left is small. Only for
    deterministic recipes, whose noise is the fine trajectory's.
    """

    name = "teacher_fd"
    summary = "Frechet distance to the fine trajectory's samples from the same noise"
    unit = "FD"
    needs = frozenset({"final", "teacher"})
    deterministic_only = True
    # Enough for a dozen components; the more samples, the more of them are compared.
    least_samples = 100
    # What is compared: rows of a candidate, and the fine trajectory's.
    own: ClassVar[str] = "final"
    wanted: ClassVar[str] = "teacher"
    # Whether estimates say what they are made of.
    explains: ClassVar[bool] = False

    def __init__(self) -> None:
        self._targets: dict[tuple[int, int], _Target] = {}

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The distance of the two kinds of rows [N, D]; the reference is not used."""
        ends = sample_rows(rows, self.own, objective=self.name)
        target = self._target(sample_rows(rows, self.wanted, objective=self.name), blocks)
        whole, without = target.distances(ends)
        found = from_leave_one_out(whole, without, corrected=False)
        return replace(found, residuals=target.residuals(ends)) if self.explains else found

    def _target(self, wanted: Array, blocks: int) -> "_Target":
        """All recipes of a search on equal samples have one, and working it out is dear."""
        known = self._targets.get((len(wanted), blocks))
        if known is None or not np.array_equal(known.wanted, wanted):
            known = self._targets[len(wanted), blocks] = _Target(wanted, blocks)
        return known


class TeacherFid(TeacherFd):
    """The same of features: FID's own distance, without the noise that recipes have in common.

    Where features see what the samples' own mean and covariance do not show, as those of a network
    do, this is the nearer to FID.
    """

    name = "teacher_fid"
    summary = "Frechet distance to the fine trajectory's features from the same noise"
    needs = frozenset({"features", "teacher_features"})
    own, wanted, explains = "features", "teacher_features", True


class _Target:
    """The fine trajectory's rows [N, D], whole and without each block."""

    def __init__(self, wanted: Array, blocks: int) -> None:
        self.wanted = wanted
        self._middle = torch.from_numpy(wanted.mean(axis=0))
        axes, variances = components(wanted)
        self._axes = torch.from_numpy(np.ascontiguousarray(axes))
        self._scales = np.sqrt(variances)
        self._sketch: Array | None = None
        self._blocks = blocks
        inner, rest = self._split(wanted)
        self._references = [
            FrechetReference.of(one.mean.numpy(), one.covariance.numpy())
            for one in leave_one_out_moments(inner)
        ]
        self._rest = list(_Marginals.leave_one_out(rest))

    def distances(self, ends: Array) -> tuple[float, Array]:
        """Squared distances of samples [N, D]: of all, and [blocks] without each block."""
        inner, rest = self._split(ends)
        moments = zip(leave_one_out_moments(inner), self._references, strict=True)
        found = [there.distance(one.mean - there.mean, one.covariance) for one, there in moments]
        marginals = zip(_Marginals.leave_one_out(rest), self._rest, strict=True)
        beyond = [one.distance(there) for one, there in marginals]
        # Rounding makes the distance of equal samples slightly negative.
        distances = [max(a, 0.0) + b for a, b in zip(found, beyond, strict=True)]
        return distances[0], np.array(distances[1:])

    def residuals(self, ends: Array) -> tuple[float, ...]:
        """At most 128 numbers whose squares add up to about the distance of samples [N, D].

        Of more residuals as many random sums, always the same (Johnson and Lindenstrauss 1984),
        whose squares add up to within a tenth.
        """
        inner, rest = (part.flatten(0, 1).numpy() for part in self._split(ends))
        wanted = self._split(self.wanted)[1].flatten(0, 1).numpy()
        spread = rest.std(axis=0, ddof=1) - wanted.std(axis=0, ddof=1)
        beyond = np.concatenate([rest.mean(axis=0) - wanted.mean(axis=0), spread])
        found = np.concatenate([moment_residuals(inner, self._scales), beyond])
        if len(found) > _SUMS:
            if self._sketch is None:
                rng = np.random.default_rng(len(found))
                self._sketch = rng.standard_normal((_SUMS, len(found))) / math.sqrt(_SUMS)
            found = self._sketch @ found
        return tuple(float(f"{one:.6g}") for one in found.tolist())

    def _split(self, rows: Array) -> tuple[Tensor, Tensor]:
        """Blocks of rows [N, D] on the components [B, n, D'], and what these leave out."""
        centred = torch.from_numpy(cut(rows, self._blocks)) - self._middle
        inner = centred @ self._axes
        return inner, centred - inner @ self._axes.T


@dataclass(frozen=True)
class _Marginals:
    """Means [D] and standard deviations [D] of the coordinates of some rows."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def leave_one_out(cls, parts: Tensor) -> Iterator["_Marginals"]:
        """Of all rows of blocks [B, n, D], then without each block."""
        blocks, size = parts.shape[:2]
        sums, squares = parts.sum(dim=1), parts.square().sum(dim=1)
        total, square = sums.sum(dim=0), squares.sum(dim=0)
        yield cls._of(blocks * size, total, square)
        for one, its in zip(sums, squares, strict=True):
            yield cls._of((blocks - 1) * size, total - one, square - its)

    @classmethod
    def _of(cls, count: int, total: Tensor, square: Tensor) -> "_Marginals":
        mean = total / count
        return cls(mean, ((square - total * mean) / (count - 1)).clamp(min=0.0).sqrt())

    def distance(self, other: "_Marginals") -> float:
        """The sum of the squared distances of Gaussians, coordinate by coordinate."""
        shift, spread = self.mean - other.mean, self.deviation - other.deviation
        return float(shift @ shift + spread @ spread)
