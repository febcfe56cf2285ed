"""The levels of Karras et al. 2022 on flows: their sigma is the ratio of noise to signal."""

from autosearch.diffusion.few_step import power_spaced
from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.flow import at_thousandths
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int, high: float, low: float) -> list[GridPoint]:
    """``sigma / (1 + sigma)`` of levels with even 7th roots from ``high`` to ``low``."""
    sigmas = power_spaced(high, low, steps, rho=7.0)
    return [(sigma / (1 + sigma), None) for sigma in sigmas]


def _whole(schedule: NoiseSchedule, steps: int, high: float, low: float) -> list[GridPoint]:
    return at_thousandths(schedule, _points(schedule, steps, high, low))


GRIDS = (
    Grid(
        "flow-karras",
        "levels with even 7th roots, as ratios of noise to signal",
        ("flow",),
        _whole,
        "Karras et al. 2022, eq. 5; diffusers' UniPC with use_karras_sigmas and use_flow_sigmas",
        settings=(
            Setting("high", 80, 0.1, 10**5, whole=False),
            Setting("low", 0.002, 1e-6, 0.1, whole=False),
        ),
        real=_points,
    ),
)
