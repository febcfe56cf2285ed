"""Precision and recall of features, by manifolds of balls to the third neighbour.

Kynkaanniemi et al. (2019), arXiv 1904.06991, equations 1 and 2. A set's manifold is the union of
balls around its rows, each reaching to the row's third nearest neighbour in the set.

Both depend on the number of rows (more rows make smaller balls), so values are comparable only at
an equal number of samples and with the same reference. They are not corrected for it.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array, Rows
from autosearch.errors import UserError
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, cut, from_leave_one_out, mean_estimate
from autosearch.objectives.rows import reference_rows, sample_rows

__all__ = ["ManifoldObjective", "Precision", "Recall"]

# Rows on one side of a distance matrix at a time.
CHUNK = 1000


class ManifoldObjective(Objective):
    """A share of rows within a manifold; comparable only at an equal number of samples."""

    direction = "maximize"
    needs = frozenset({"features"})
    share = True
    neighbours: ClassVar[int] = 3

    def min_samples(self, widths: Mapping[str, int]) -> int:
        """A row and its neighbours in each of twenty blocks."""
        return ENOUGH_BLOCKS * (self.neighbours + 1)

    def features(self, rows: Rows, reference: Rows) -> tuple[Tensor, Tensor]:
        """Generated [N, d] and real [R, d] features, in this order.

        Raises:
            UserError: when the reference has too few rows to have neighbours.
        """
        fake = sample_rows(rows, "features", objective=self.name)
        true = reference_rows(reference, "features", objective=self.name, columns=fake.shape[1])
        if len(true) <= self.neighbours:
            raise UserError(
                f"{self.name}: the reference has {len(true)} rows of features; "
                f"give at least {self.neighbours + 1}"
            )
        return torch.from_numpy(fake), torch.from_numpy(true)


class Precision(ManifoldObjective):
    """The share of generated rows that lie in the manifold of the real ones (fidelity)."""

    name = "precision"
    summary = "share of samples that look real (3 neighbours; compare at equal numbers)"

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The real manifold is fixed, so this is a plain mean over the samples."""
        fake, true = self.features(rows, reference)
        reach = _radii(true, self.neighbours)
        inside = [
            (_distances(part, true) <= reach).any(dim=1).double()
            for part in torch.split(fake, CHUNK)
        ]
        return mean_estimate(torch.cat(inside).numpy(), blocks, share=self.share)


class Recall(ManifoldObjective):
    """The share of real rows that lie in the manifold of the generated ones (coverage).

    Nearest neighbours are not smooth in the sample, so the jackknife is cautious here: its error
    is about half again the true one (measured on simulated sets; the tests hold it below twice).
    """

    name = "recall"
    summary = "share of real data that the samples cover (3 neighbours; compare at equal numbers)"

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """Leaving a block out removes its balls and widens those that had neighbours in it."""
        fake, true = self.features(rows, reference)
        radii = _radii_without(fake, blocks, self.neighbours)
        covered = torch.zeros(blocks + 1, dtype=torch.float64)
        for part in torch.split(true, CHUNK):
            distances = _distances(part, fake)
            for case, reach in enumerate(radii):
                covered[case] += (distances <= reach).any(dim=1).sum()
        shares: Array = (covered / len(true)).numpy()
        # Of the real rows; but how well it is known is a matter of the generated ones.
        trials = min(len(fake), len(true))
        return from_leave_one_out(float(shares[0]), shares[1:], corrected=False, trials=trials)


def _distances(rows: Tensor, others: Tensor) -> Tensor:
    """[M, N] distances between rows [M, d] and others [N, d]."""
    # Imported here because it takes seconds, which no other objective should pay.
    from torch_fidelity.metric_prc import calc_cdist_part

    distances: Tensor = calc_cdist_part(rows, others)
    return distances


def _radii(rows: Tensor, neighbours: int) -> Tensor:
    """[N] distances to the nearest neighbour of that rank; a row is its own nearest."""
    parts = [
        _distances(part, rows).kthvalue(neighbours + 1, dim=1).values
        for part in torch.split(rows, CHUNK)
    ]
    return torch.cat(parts)


def _radii_without(rows: Tensor, blocks: int, neighbours: int) -> Tensor:
    """[blocks + 1, N] radii: first with all rows, then without each block.

    Without block b a row's nearest neighbours are among the nearest of the other blocks, so the
    few nearest in each block are all that is kept of the distances. The rows of the block left out
    have no ball: radius -1.
    """
    size = len(rows) // blocks
    kept = min(neighbours + 1, size)
    nearest = np.empty((len(rows), blocks, kept))
    for start, part in zip(range(0, len(rows), CHUNK), torch.split(rows, CHUNK), strict=True):
        distances = _distances(part, rows).numpy().reshape(len(part), blocks, size)
        nearest[start : start + CHUNK] = np.partition(distances, kept - 1, axis=2)[:, :, :kept]

    radii = np.empty((blocks + 1, len(rows)))
    radii[0] = _rank(nearest, neighbours)
    for block in range(blocks):
        radii[block + 1] = _rank(np.delete(nearest, block, axis=1), neighbours)
        cut(radii[block + 1], blocks)[block] = -1.0
    return torch.from_numpy(radii)


def _rank(nearest: Array, neighbours: int) -> Array:
    """[N] the value of that rank (a row itself has rank 0) among [N, blocks, kept]."""
    flat = nearest.reshape(len(nearest), -1)
    return np.asarray(np.partition(flat, neighbours, axis=1)[:, neighbours])
