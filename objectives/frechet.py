"""The Frechet distance of two Gaussians, from sums, so that leaving rows out is a subtraction.

Dowson and Landau (1982), J. Multivariate Analysis 12: the squared 2-Wasserstein distance
``|m - m_r|^2 + tr S + tr S_r - 2 tr (S_r^1/2 S S_r^1/2)^1/2``, in squared units of the rows.

All in float64 and in torch, whose number of threads a search sets to one: the threads of numpy's
matrix product make this several times slower on busy cores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array
from autosearch.objectives.jackknife import cut

__all__ = ["FrechetReference", "Moments", "leave_one_out", "leave_one_out_moments"]


@dataclass(frozen=True)
class Moments:
    """Sums over some rows: ``total`` [d] of the rows and ``second`` [d, d] of their products."""

    count: int
    total: Tensor
    second: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "Moments":
        """The sums over rows [N, d]; the rows should be shifted to a mean near zero."""
        return cls(len(rows), rows.sum(dim=0), rows.T @ rows)

    def __sub__(self, part: "Moments") -> "Moments":
        """The sums without the rows of ``part``."""
        return Moments(self.count - part.count, self.total - part.total, self.second - part.second)

    @property
    def mean(self) -> Tensor:
        """The mean [d]."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """The covariance [d, d] with N - 1 in the denominator, singular when N <= d."""
        return (self.second - torch.outer(self.total, self.mean)) / (self.count - 1)


@dataclass(frozen=True)
class FrechetReference:
    """The reference's side of the distance, worked out once: ``root`` is ``S_r^1/2``."""

    mean: Tensor
    root: Tensor
    trace: float

    @classmethod
    def of(cls, mean: Array, covariance: Array) -> "FrechetReference":
        """Prepare the mean [d] and the covariance [d, d], which may be singular."""
        values, vectors = torch.linalg.eigh(torch.from_numpy(covariance))
        # Rounding leaves a singular matrix with slightly negative eigenvalues.
        root = (vectors * values.clamp(min=0.0).sqrt()) @ vectors.T
        return cls(torch.from_numpy(mean), root, float(np.trace(covariance)))

    def distance(self, shift: Tensor, covariance: Tensor) -> float:
        """The squared distance to a Gaussian at ``shift`` [d] with a covariance [d, d].

        The symmetric product has the eigenvalues of ``S S_r``, but real and without the loss of
        accuracy of a general eigenvalue solver.
        """
        values = torch.linalg.eigvalsh(self.root @ covariance @ self.root)
        cross = values.clamp(min=0.0).sqrt().sum()
        return float(shift @ shift + covariance.trace() + self.trace - 2.0 * cross)


def leave_one_out_moments(parts: Tensor) -> Iterator[Moments]:
    """The moments of all rows of blocks [B, n, d], then those without each block."""
    whole = Moments.of(parts.flatten(0, 1))
    yield whole
    yield from (whole - Moments.of(part) for part in parts)


def leave_one_out(rows: Array, blocks: int, reference: FrechetReference) -> tuple[float, Array]:
    """The distance of rows [N, d] to the reference, and [blocks] without each block.

    O(N d^2 + blocks d^3) time and O(N d + d^2) memory.
    """
    # Shifted, so that the numbers are small and subtracting a block's sums loses no digits.
    shifted = torch.from_numpy(cut(rows, blocks)) - reference.mean
    distances = [reference.distance(m.mean, m.covariance) for m in leave_one_out_moments(shifted)]
    return distances[0], np.array(distances[1:])
