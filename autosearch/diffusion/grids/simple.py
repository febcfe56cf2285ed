"""Even indices of the model's table of levels, from the noisiest down."""

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import indexed_time
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Every T / K-th level, cut to a whole index."""
    total = schedule.train_steps
    stride = total / steps
    indices = (total - 1 - int(i * stride) for i in range(steps))
    return [(indexed_time(schedule, index), None) for index in indices]


GRIDS = (
    Grid(
        "simple",
        "every T / K-th of the model's T levels, from the noisiest down",
        ("vp", "edm", "flow"),
        _points,
        "ComfyUI's simple_scheduler",
    ),
)
