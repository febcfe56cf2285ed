"""Two arcs of the arctangent, dense at both ends, as ``bong_tangent`` of RES4LYF."""

import math

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError

__all__ = ["GRIDS"]

_PIVOT, _SLOPE, _SLOPE_STEPS = 0.6, 0.2, 40


def _points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """From 1 to 1/2 and from there to 0; where they meet, in the middle of the steep part."""
    if steps < 2:
        raise UserError("grid 'bong_tangent' is defined from 2 steps on, not for 1")
    total = steps + 2
    pivot = int(total * _PIVOT)
    slope = _SLOPE * _SLOPE_STEPS / total
    upper = _arc(pivot, slope, pivot, 1.0, 0.5)
    lower = _arc(total - pivot, slope, 0, 0.5, 0.0)
    return [(time, None) for time in upper[:-1] + lower[:-1]]


def _arc(count: int, slope: float, pivot: int, first: float, last: float) -> list[float]:
    """So many values of a falling arctangent around ``pivot``, moved and scaled to the two ends."""
    values = [math.atan(-slope * (i - pivot)) for i in range(count)]
    span = values[0] - values[-1]
    return [last + (value - values[-1]) / span * (first - last) for value in values]


GRIDS = (
    Grid(
        "bong_tangent",
        "two arcs of the arctangent, dense at both ends",
        ("flow",),
        _points,
        "RES4LYF's bong_tangent_scheduler",
    ),
)
