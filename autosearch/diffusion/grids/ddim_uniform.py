"""Every T // K-th level of the model's table, counted from the clean end."""

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import CLEAN, indexed_time
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS"]


def _points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Indices 1, 1 + T // K, ...: where K does not divide T, there may be more than K.

    A level at index 1 that is as good as clean ends the last step and is none.
    """
    total = schedule.train_steps
    ends = schedule.edm_sigma(indexed_time(schedule, 1)) < CLEAN
    indices = range(1, total, max(total // (steps + ends), 1))[::-1]
    return [(indexed_time(schedule, index), None) for index in indices[: len(indices) - ends]]


GRIDS = (
    Grid(
        "ddim_uniform",
        "every T // K-th of the model's T levels from 1 up; not at every number of steps",
        ("vp", "edm", "flow"),
        _points,
        "ComfyUI's ddim_scheduler",
    ),
)
