"""The midpoint rule between the points of a grid: two evaluations a step."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from autosearch.baselines.base import Choices, Layout, Solver
from autosearch.diffusion.grids import GridPoint
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["SOLVERS"]

_EULER: Choices = {"order": 1}
# Halfway in half log-SNR, DPM-Solver-2 takes the noise of the middle alone.
_FROM_MIDDLE: Choices = {
    "order": 2,
    "prediction": "noise",
    "form": "dpmsolver",
    "start_point": -2,
}


def _dpm2(count: int) -> list[Choices]:
    """The steps on a grid that has its middles already."""
    return [dict(_FROM_MIDDLE if i % 2 else _EULER) for i in range(count)]


def _with_middles(layout: Layout) -> Layout:
    """A point between every two, halfway in the log of sigma, and the steps that use it.

    No level is halfway to the clean end or from pure noise, where the step is Euler's. Flows are
    solved in their own time, from time 1 too, with the middle of the logs of two times.
    """
    laid = [
        part
        for point, here, there in zip(
            layout.points, layout.log_snrs, layout.log_snrs[1:], strict=False
        )
        for part in _halves(point, here, there, layout.schedule)
    ]
    points, choices = zip(*laid, strict=True)
    return replace(layout, points=points, choices=choices)


def _halves(
    point: GridPoint, here: float, there: float, schedule: NoiseSchedule
) -> Iterator[tuple[GridPoint, Choices]]:
    """A step in its two halves, or whole: where each starts, and its choices."""
    yield point, dict(_EULER)
    if schedule.family == "flow":
        (_, time), (_, end) = schedule.alpha_sigma(here), schedule.alpha_sigma(there)
        if end > 0:
            middle = math.sqrt(time * end)
            weights = {"weights": [1.0, 0.0, end - time], "start_point": -2}
            yield (middle, None), {"form": "linear", "prediction": "velocity", **weights}
    elif math.isfinite(there - here) and there > here:
        level = (here + there) / 2
        yield (schedule.time(level), level), dict(_FROM_MIDDLE)


SOLVERS: Mapping[str, Solver] = {
    "dpm2": Solver(
        "DPM2 (Karras et al. 2022; k-diffusion): midpoints in log sigma, two evaluations a step",
        _dpm2,
        2,
        "linspace",
        "KDPM2DiscreteScheduler",
        start="sigma",
        run=2,
        whole_times=False,
        adapt=_with_middles,
        usual=False,
    ),
}
