"""Intervals of shares and of their paired differences, which hold near 0 and 1 too.

Near its ends a share's distribution is skewed, and all blocks are often alike: a t interval then
has no width, however likely the next sample is another. Here a share of N samples is taken for one
of ``n`` independent ones, where ``n`` is such that the binomial variance is that of the blocks
(Kish's effective sample size; Korn and Graubard 1998, Survey Methodology 24), and its interval is
Clopper and Pearson's (1934, Biometrika 26). Deviations: the blocks' variance is averaged with the
binomial one, which counts as two blocks, since a few rare samples say little about a variance; and
``n`` may exceed N, because balanced classes make a share steadier than independent samples are.
Differences are combined from the two intervals (Newcombe 1998, Statistics in Medicine 17, method
10 for pairs; Zou and Donner 2008), their correlation being that of the blocks.

Coverage by simulation: docs/measuring.md.
"""

import math

import numpy as np
from scipy import special

from autosearch._typing import Array

__all__ = ["share_difference_interval", "share_interval"]

# So many blocks' worth of binomial variance, and of no correlation, are added to the blocks' own.
_ADDED_BLOCKS = 2


def share_interval(value: float, pseudo: Array, trials: int, level: float) -> tuple[float, float]:
    """The two-sided interval of a share.

    Args:
        value: the share, from 0 to 1.
        pseudo: [B] its jackknife pseudo-values; means of the blocks, where it is a plain mean.
        trials: how many samples it is a share of.
        level: how often the interval is to hold the truth, at least.

    Returns:
        Both ends, within 0 and 1; apart from each other also where all samples are alike.
    """
    tail = (1 - level) / 2
    size = _effective(value, pseudo, trials, tail)
    hits = value * size
    low = special.betaincinv(hits, size - hits + 1, tail) if value > 0 else 0.0
    high = special.betaincinv(hits + 1, size - hits, 1 - tail) if value < 1 else 1.0
    return min(float(low), value), max(float(high), value)


def share_difference_interval(
    a: tuple[float, Array, int], b: tuple[float, Array, int], level: float
) -> tuple[float, float]:
    """The two-sided interval of ``a - b``; each is value, pseudo-values [B] and samples.

    The pseudo-values stand in pairs, block by block.
    """
    low_a, high_a = share_interval(*a, level)
    low_b, high_b = share_interval(*b, level)
    correlation = _correlation(a[1], b[1])
    difference = a[0] - b[0]
    down = _combined(a[0] - low_a, high_b - b[0], correlation)
    up = _combined(high_a - a[0], b[0] - low_b, correlation)
    return difference - down, difference + up


def _effective(value: float, pseudo: Array, trials: int, tail: float) -> float:
    """Independent samples that would know a share as well, fewer where blocks are few."""
    binomial = value * (1 - value) / trials
    if binomial <= 0:
        return float(trials)
    blocks = len(pseudo)
    own = (blocks - 1) * float(pseudo.var(ddof=1)) / blocks / binomial
    effect = (own + _ADDED_BLOCKS) / (blocks - 1 + _ADDED_BLOCKS)
    student = float(special.stdtrit(blocks - 1, 1 - tail) / special.ndtri(1 - tail))
    return trials / effect / student**2


def _correlation(a: Array, b: Array) -> float:
    """The correlation of two series [B], drawn towards 0."""
    blocks = len(a)
    spread = float(a.std() * b.std())
    if spread <= 0:
        return 0.0
    covariance = float(((a - a.mean()) * (b - b.mean())).mean())
    drawn: float = np.clip(covariance / spread, -1, 1) * (blocks - 1)
    return float(drawn) / (blocks - 1 + _ADDED_BLOCKS)


def _combined(own: float, other: float, correlation: float) -> float:
    return math.sqrt(max(own**2 + other**2 - 2 * correlation * own * other, 0.0))
