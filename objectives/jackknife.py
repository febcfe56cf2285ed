"""The delete-one-block jackknife (Quenouille 1949; Tukey 1958; Miller 1974, Biometrika 61).

N rows in index order are cut into B equal contiguous blocks. Labels run through the classes by
index, so a block whose size is a multiple of the number of classes holds each class equally often,
and leaving a block out keeps the classes balanced.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Array
from autosearch.errors import UserError
from autosearch.objectives.base import Estimate

__all__ = ["block_count", "cut", "from_leave_one_out", "mean_estimate"]

Scalar = TypeVar("Scalar", bound=np.generic)

MOST_BLOCKS = 40
ENOUGH_BLOCKS = 20


def block_count(samples: int, multiple: int = 1) -> int:
    """The number of blocks for ``samples`` rows, each block a multiple of ``multiple`` rows.

    The largest B in 20..40 that fits, else the largest in 2..19: more blocks give steadier errors,
    but with more than 40 the gain is small and each costs an evaluation.

    Raises:
        UserError: when no number of blocks fits.
    """
    for blocks in range(MOST_BLOCKS, 1, -1):
        if samples > 0 and samples % (blocks * multiple) == 0:
            return blocks
    step = ENOUGH_BLOCKS * multiple
    remedy = max(1, round(samples / step)) * step
    raise UserError(
        f"samples: {samples} cannot be cut into 2 to {MOST_BLOCKS} equal blocks "
        f"of a multiple of {multiple}; use a multiple of {step}, such as {remedy}"
    )


def cut(rows: NDArray[Scalar], blocks: int) -> NDArray[Scalar]:
    """A view [blocks, N / blocks, ...] of rows [N, ...].

    Raises:
        ValueError: when the rows cannot be cut into at least two equal blocks.
    """
    if blocks < 2 or len(rows) == 0 or len(rows) % blocks:
        raise ValueError(f"{len(rows)} rows cannot be cut into {blocks} equal blocks")
    return rows.reshape(blocks, len(rows) // blocks, *rows.shape[1:])


def from_leave_one_out(
    theta: float, without: Array, *, corrected: bool, trials: int = 0
) -> Estimate:
    """The estimate of a statistic from its value on all rows and without each block [B].

    ``corrected``: the value is ``B * theta - (B - 1) * mean(without)``, free of a bias of order
    1/N. Otherwise it is ``theta`` itself. The pseudo-values, and so the error, are the same.
    ``trials``: of how many samples it is a share, where it is one.
    """
    blocks = len(without)
    pseudo = blocks * theta - (blocks - 1) * without
    value = float(pseudo.mean()) if corrected else float(theta)
    return Estimate(value, tuple(pseudo.tolist()), trials)


def mean_estimate(values: Array, blocks: int, *, share: bool = False) -> Estimate:
    """The estimate of a mean of values [N]: its pseudo-values are the means of the blocks.

    ``share``: whether the values are 0 or 1, and the mean the share of ones.
    """
    means = cut(values, blocks).mean(axis=1)
    trials = len(values) if share else 0
    return Estimate(float(values.mean()), tuple(means.tolist()), trials)
