"""KID: the squared maximum mean discrepancy of features under a polynomial kernel.

Binkowski et al. (2018), arXiv 1801.01401, equation 4. Published values average over random subsets
of 1,000 rows; here all rows are used once, which has the same expectation, less noise and no seed.
"""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array, Rows
from autosearch.errors import UserError
from autosearch.objectives.base import Estimate, Objective
from autosearch.objectives.jackknife import ENOUGH_BLOCKS, cut, from_leave_one_out
from autosearch.objectives.rows import reference_rows, sample_rows

__all__ = ["Kid", "kernel", "kernel_sum"]

# Rows on either side of one kernel matrix: 8 MiB at a time.
CHUNK = 1024


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """``(x.y / d + 1)^3`` for x [M, d] and y [N, d], as [M, N].

    The same numbers as torch-fidelity's ``kernel_poly``, whose power costs 40 times a product. In
    torch, whose number of threads a search sets to one, because the threads of numpy's matrix
    product slow it down hundreds of times on busy cores.
    """
    base = x @ y.T / x.shape[1] + 1.0
    return base * base * base


def kernel_sum(x: Tensor, y: Tensor) -> float:
    """The sum of the kernel over all pairs of a row of x [M, d] and one of y [N, d]."""
    chunks = [(a, b) for a in torch.split(x, CHUNK) for b in torch.split(y, CHUNK)]
    return float(sum(float(kernel(a, b).sum()) for a, b in chunks))


class Kid(Objective):
    """The unbiased kernel distance; it needs no correction and may be negative."""

    name = "kid"
    summary = "kernel distance (squared MMD, cubic kernel) of features, unbiased"
    unit = "KID"
    needs = frozenset({"features"})
    # Two rows in each of twenty blocks, so that a block has pairs of its own.
    least_samples: ClassVar[int] = 2 * ENOUGH_BLOCKS

    def estimate(self, rows: Rows, reference: Rows, blocks: int) -> Estimate:
        """The distance from all rows and all of the reference's ``features`` [R, d], R >= 2.

        The kernel is summed by pairs of blocks once; leaving a block out subtracts its sums.
        """
        x = sample_rows(rows, "features", objective=self.name)
        y = reference_rows(reference, "features", objective=self.name, columns=x.shape[1])
        if len(y) < 2:
            raise UserError(f"{self.name}: the reference has {len(y)} rows; give at least 2")
        others = torch.from_numpy(y)
        parts = torch.from_numpy(cut(x, blocks)).unbind()
        same = _sums_within(parts)
        cross = np.array([kernel_sum(part, others) for part in parts])
        real_mean = _sum_of_pairs(others) / (len(y) * (len(y) - 1))

        def squared_mmd(pairs: Array, cross: Array, count: int) -> Array:
            fake_mean = pairs / (count * (count - 1))
            return np.asarray(fake_mean + real_mean - 2.0 * cross / (count * len(y)))

        total, removed = same.sum(), 2.0 * same.sum(axis=1) - np.diagonal(same)
        theta = squared_mmd(total, cross.sum(), len(x))
        left = len(x) - len(x) // blocks
        without = squared_mmd(total - removed, cross.sum() - cross, left)
        return from_leave_one_out(float(theta), without, corrected=False)


def _sums_within(parts: tuple[Tensor, ...]) -> Array:
    """[B, B] kernel sums between the blocks, without the pairs of a row with itself."""
    sums = np.empty((len(parts), len(parts)))
    for i, part in enumerate(parts):
        sums[i, i] = _sum_of_pairs(part)
        for j in range(i):
            sums[i, j] = sums[j, i] = kernel_sum(part, parts[j])
    return sums


def _sum_of_pairs(rows: Tensor) -> float:
    """The sum of the kernel over all ordered pairs of two different rows."""
    itself = (rows.square().sum(dim=1) / rows.shape[1] + 1.0) ** 3
    return kernel_sum(rows, rows) - float(itself.sum())
