"""Levels that are even in their logarithm, or in a power of it."""

import math

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, level_range
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS"]


def _polyexponential(schedule: NoiseSchedule, steps: int, rho: float = 1.0) -> list[GridPoint]:
    """``exp(u**rho (log max - log min) + log min)`` for u from 1 to 0."""
    high, low = map(math.log, level_range(schedule))
    shares = np.linspace(1.0, 0.0, steps) ** rho
    return at_levels(schedule, np.exp(shares * (high - low) + low).tolist())


GRIDS = (
    Grid(
        "exponential",
        "levels even in their logarithm, the least one in",
        ("vp", "edm", "flow"),
        _polyexponential,
        "k-diffusion's get_sigmas_exponential",
    ),
    Grid(
        "polyexponential",
        "levels even in a root of their logarithm",
        ("vp", "edm", "flow"),
        _polyexponential,
        "k-diffusion's get_sigmas_polyexponential",
        settings=(Setting("rho", 1, 0.01, 100, whole=False),),
    ),
)
