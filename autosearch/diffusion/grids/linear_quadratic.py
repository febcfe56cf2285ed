"""Mochi's schedule: small linear steps at first, then quadratic ones."""

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, level_range
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int, threshold: float) -> list[GridPoint]:
    """``1 - y`` of the largest level, y from 0 to ``threshold`` in the first half, then to 1.

    The quadratic part goes on at the slope that leads it from the threshold to 1 at step K.
    """
    linear = steps // 2
    shares = [1.0 - threshold * i / linear for i in range(linear)] or [1.0]
    if linear:
        slope = threshold / linear
        bend = (linear - threshold * steps) / (steps - linear) ** 2
        shares += [
            1.0 - slope * i - bend * (i - linear) ** 2 / linear for i in range(linear, steps)
        ]
    high = level_range(schedule)[0]
    return at_levels(schedule, [high * share for share in shares])


GRIDS = (
    Grid(
        "linear_quadratic",
        "half of the steps linear and small, then quadratic",
        ("vp", "edm", "flow"),
        _points,
        "Genmo's Mochi; ComfyUI's linear_quadratic_schedule, times the largest level",
        settings=(Setting("threshold", 0.025, 0.0001, 0.5, whole=False),),
    ),
)
