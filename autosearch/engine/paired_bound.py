"""Whether one result is worse than another on the same blocks, whatever tails measurements have.

A t interval trusts the blocks that were seen. Where a measurement is skewed or has outliers, the
best looking of several rivals is the one whose tail has not shown yet: it looks better, and just as
steady. No interval from its own blocks can know (Bahadur and Savage 1956, Annals of Mathematical
Statistics 27). What can be known is the tail that all results of a search show together, and how
little of one they would have hidden.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from scipy import special

from autosearch._typing import Array

__all__ = [
    "LEAST_BLOCKS",
    "Bound",
    "Tail",
    "hidden_shift",
    "paired_blocks",
    "surely_worse",
    "tail_weight",
]

# With fewer blocks nothing is said of tails.
LEAST_BLOCKS = 10
# The share of blocks that count as the tail, and the variance of the rest of a normal
# distribution, ``1 - 2 q phi(q) / 0.8`` at its 90% quantile q; in B blocks a little less.
_TAIL = 5
_MIDDLE, _FEW = 0.4377, 3.3
# Tails are taken to be no heavier than these: outliers of 1% at 100 standard deviations.
_HEAVIEST = 100.0
# Of B blocks without an outlier, a share of outliers of up to ``-log(0.27) / B`` stays hidden
# with probability 27%; at 100 standard deviations they move the mean by 130 / B. Where one shows,
# four times as far as its variance is above a normal one's, since results of several kinds may be
# among them. Both are by simulation (docs/results/racing.md).
_HIDDEN = 130.0
_SHOWN = 4.0
_MOST_HIDDEN = 2.0


class Tail(NamedTuple):
    """What earlier results of a search say of a measurement's tails.

    Attributes:
        weight: by how much a variance may be larger than the blocks show, at least 1.
        shift: by how many standard deviations of a block a mean may be off, see
            :func:`hidden_shift`.
    """

    weight: float
    shift: float


class Bound(Protocol):
    """Says whether one result is worse than another; see :func:`surely_worse`."""

    def __call__(
        self, difference: float, own: Array, rival: Array, *, tail: Tail, level: float
    ) -> bool:
        """Whether it is, at a one-sided level."""


def tail_weight(seen: Array, later: Array, *, growth: float = 1.0) -> float:
    """How much larger a variance is than the middle of the blocks says: 1 for normal ones.

    Args:
        seen: [B] blocks of a difference, each of which is a mean over n samples.
        later: [C] blocks of the same difference when more samples are known.
        growth: how many times n the samples of a block of ``later`` are.

    Returns:
        The variance of ``later``, of one sample of ``seen``'s size, over the variance of the 80% of
        ``seen`` that are nearest to its median; from 0 to 100.
    """
    size = len(seen)
    distance = np.sort(np.abs(seen - np.median(seen)))[: size - max(1, size // _TAIL)]
    middle = float(np.square(distance).mean()) / (_MIDDLE * max(1 - _FEW / size, 0.1))
    whole = float(later.var(ddof=1)) * growth
    # Differences of nothing but rounding have no tail.
    rounding = (1e-12 * float(np.abs(seen).max() + np.abs(later).max())) ** 2 + 1e-300
    return min((whole + rounding) / (middle + rounding), _HEAVIEST)


def hidden_shift(weight: float, blocks: float) -> float:
    """By how many standard deviations of a block outliers that nobody saw may have moved a mean.

    Args:
        weight: the tail weight that earlier results show together.
        blocks: how many blocks of them were seen.
    """
    return min(_HIDDEN / blocks + _SHOWN * (weight - 1.0), _MOST_HIDDEN)


def surely_worse(difference: float, own: Array, rival: Array, *, tail: Tail, level: float) -> bool:
    """Whether a result's true value lies above a rival's, at a one-sided level.

    By the t statistic of the paired difference, less what hidden outliers may have shifted it by,
    with a variance that holds the rival's hidden tail, and corrected for a skewness that speaks
    against it by Hall's monotone transformation (1992, JRSS B 54, 221-228, with a = 1/3 and
    b = 1/6). What may be hidden is taken to be in proportion to the rival's own spread: a tail of
    the other's towards larger values is no danger.

    Args:
        difference: the estimate of the difference of the two values.
        own: [B] blocks, or pseudo-values, of the result.
        rival: [B], those of the rival on the same samples.
        tail: of the differences of this measurement.
        level: how likely it may be found worse when it is not.

    Raises:
        ValueError: when the two were not measured on the same number of blocks.
    """
    paired = paired_blocks(own, rival)
    blocks = len(paired)
    if not blocks:
        return difference > 0
    if blocks < LEAST_BLOCKS:
        return False
    deviations = paired - paired.mean()
    spread = float(np.square(deviations).mean())
    if spread == 0:  # what happens rarely has happened to neither
        return False
    variance = spread * blocks / (blocks - 1)
    # Of a difference of two alike, either has half of the variance.
    steady = min(variance, 2 * float(rival.var(ddof=1)))
    error = math.sqrt((variance + (tail.weight - 1) * steady) / blocks)
    t = (difference - tail.shift * math.sqrt(steady)) / error
    skewness = min(float((deviations**3).mean()) / spread**1.5, 0.0) / math.sqrt(blocks)
    corrected = t + skewness * (t * t / 3 + 1 / 6) + skewness**2 * t**3 / 27
    return bool(corrected > special.stdtrit(blocks - 1, 1 - level))


def paired_blocks(a: Array, b: Array) -> Array:
    """``a - b`` [B], block by block.

    Raises:
        ValueError: when the two were not measured on the same number of blocks.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} blocks against {len(b)}: not a paired comparison")
    return a - b
