"""The closed form of Align Your Steps for Gaussian data: even arctangents of the levels."""

import math

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, level_range
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    high, low = map(math.atan, level_range(schedule))
    return at_levels(schedule, np.tan(np.linspace(high, low, steps)).tolist())


GRIDS = (
    Grid(
        "kl_optimal",
        "levels even in their arctangent, the least one in",
        ("vp", "edm", "flow"),
        _points,
        "Sabour et al. 2024 (Align Your Steps), their closed form with c = 1; ComfyUI",
    ),
)
