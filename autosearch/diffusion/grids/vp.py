"""Even times of the continuous variance-preserving process of Song et al. 2021."""

import math

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, level_range
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS"]


def _points(
    schedule: NoiseSchedule,
    steps: int,
    beta_d: float,
    beta_min: float,
    end: float,
) -> list[GridPoint]:
    """``sqrt(exp(beta_d t**2 / 2 + beta_min t) - 1)`` for even t from 1 to ``end``.

    Where this goes beyond the model's levels, t is even over what lies within them.
    """
    high, low = (
        (math.sqrt(beta_min**2 + 2 * beta_d * math.log1p(level**2)) - beta_min) / beta_d
        for level in level_range(schedule)
    )
    t = np.linspace(min(1.0, high), max(end, low), steps)
    return at_levels(schedule, np.sqrt(np.expm1(beta_d * t**2 / 2 + beta_min * t)).tolist())


GRIDS = (
    Grid(
        "vp",
        "even times of Song's continuous process",
        ("vp", "edm"),
        _points,
        "k-diffusion's get_sigmas_vp; Song et al. 2021 (score SDEs)",
        settings=(
            Setting("beta_d", 19.9, 0.01, 1000, whole=False),
            Setting("beta_min", 0.1, 0, 1000, whole=False),
            Setting("end", 1e-3, 1e-9, 0.5, whole=False),
        ),
    ),
)
