"""Quantiles of a beta distribution, dense at both ends ("Beta Sampling is All You Need", 2024).

ComfyUI takes them of the training steps, diffusers of the noise levels: two grids.
"""

import math

import numpy as np

from autosearch._typing import Array
from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, indexed_time, level_range, shifted
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS"]

# The error of a time that was found from its level.
_ROUNDING = 1e-6


def _quantiles(shares: Array, alpha: float, beta: float) -> Array:
    """Where a beta distribution has reached shares of its mass.

    Args:
        shares: [K] from 1 down.
        alpha: exponent of the clean end.
        beta: exponent of the noisy end.
    """
    # It loads scipy's linear algebra, which most recipes can do without.
    from scipy.special import betaincinv

    quantiles: Array = betaincinv(alpha, beta, shares)
    return quantiles


def _of_times(schedule: NoiseSchedule, steps: int, alpha: float, beta: float) -> list[GridPoint]:
    """Whole indices of the model's T levels."""
    shares = _quantiles(1 - np.linspace(0, 1, steps, endpoint=False), alpha, beta)
    indices = np.rint(shares * (schedule.train_steps - 1)).tolist()
    return [(indexed_time(schedule, index), None) for index in indices]


def _of_levels(schedule: NoiseSchedule, steps: int, alpha: float, beta: float) -> list[GridPoint]:
    """Levels of the model's range, the least one in; of a flow down to its shifted 1 / K.

    That is what diffusers' scheduler of flows makes of ``sigmas=linspace(1, 1/K, K)``.
    """
    high, low = level_range(schedule)
    if schedule.family == "flow":
        low = shifted(schedule, 1.0 / steps)
    shares = _quantiles(1 - np.linspace(0, 1, steps), alpha, beta)
    return at_levels(schedule, (low + shares * (high - low)).tolist())


def _at_whole_times(
    schedule: NoiseSchedule, steps: int, alpha: float, beta: float
) -> list[GridPoint]:
    """The network's times cut to whole ones, as by diffusers' multistep solvers of betas."""
    points = _of_levels(schedule, steps, alpha, beta)
    if schedule.family != "vp":
        return points
    return [
        (float(math.floor(time + _ROUNDING)), schedule.log_snr(time) if level is None else level)
        for time, level in points
    ]


_SETTINGS = (
    Setting("alpha", 0.6, 0.01, 100, whole=False),
    Setting("beta", 0.6, 0.01, 100, whole=False),
)
GRIDS = (
    Grid(
        "beta",
        "quantiles of a beta distribution of the training steps",
        ("vp", "edm", "flow"),
        _of_times,
        "arXiv:2407.12173; ComfyUI's beta_scheduler",
        settings=_SETTINGS,
    ),
    Grid(
        "beta-diffusers",
        "quantiles of a beta distribution of the levels",
        ("vp", "edm", "flow"),
        _at_whole_times,
        "arXiv:2407.12173; diffusers' use_beta_sigmas",
        settings=_SETTINGS,
        real=_of_levels,
    ),
)
