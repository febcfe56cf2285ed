"""Even times between a model's noisiest and its cleanest level."""

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import CLEAN, indexed_time, level_range
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS"]


def _even(schedule: NoiseSchedule, count: int) -> list[float]:
    """The times of even indices from the last of T to the first.

    Of a flow, ComfyUI takes the smallest level, which is shifted, for an index that is not: it is
    shifted once more.
    """
    total = schedule.train_steps
    lowest = total * level_range(schedule)[1] - 1 if schedule.family == "flow" else 0.0
    indices: list[float] = np.linspace(total - 1, lowest, count).tolist()
    return [indexed_time(schedule, index) for index in indices]


def _sgm_uniform(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    return [(time, None) for time in _even(schedule, steps + 1)[:-1]]


def _normal(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """The last time is a step of its own, unless it is as good as clean."""
    if schedule.edm_sigma(_even(schedule, 2)[-1]) < CLEAN:
        return _sgm_uniform(schedule, steps)
    return [(time, None) for time in _even(schedule, steps)]


GRIDS = (
    Grid(
        "normal",
        "even times, the cleanest one in; ComfyUI's time of EDM is log sigma",
        ("vp", "edm", "flow"),
        _normal,
        "ComfyUI's normal_scheduler",
    ),
    Grid(
        "sgm_uniform",
        "even times, the cleanest one left out",
        ("vp", "edm", "flow"),
        _sgm_uniform,
        "ComfyUI's normal_scheduler of Stability's generative-models",
    ),
)
