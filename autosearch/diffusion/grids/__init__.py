"""Time grids by name, as the literature, diffusers, k-diffusion and ComfyUI define them.

A grid gives K pairs (time for the network, half log-SNR, log(alpha/sigma), for the solver or None
for the schedule's at that time), from noise to clean. T is the number of training steps. Levels are
those of the publication; the network's times are real, but where the reference rounds them.

A new grid is a file with a tuple ``GRIDS`` of :class:`Grid`, and its module's name in the list
below. A model that came with a scheduler has grids of its own besides; see :class:`OwnGrids`.
"""

from itertools import pairwise
from typing import Literal

from autosearch.diffusion.grids import (
    beta,
    bong_tangent,
    counted,
    ddim_uniform,
    edm,
    exponential,
    few_step,
    flow,
    flow_dynamic,
    flow_karras,
    karras,
    kl_optimal,
    linear_quadratic,
    logsnr,
    normal,
    simple,
    tables,
    vp,
)
from autosearch.diffusion.grids.base import Grid, GridPoint, OwnGrids, SamplingGrid
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import setting_values, with_settings
from autosearch.errors import UserError, unknown_name
from autosearch.registry import Parts

__all__ = [
    "GRIDS",
    "Grid",
    "GridPoint",
    "OwnGrids",
    "SamplingGrid",
    "check_grid",
    "grid",
    "grid_end",
    "grids_for",
    "sampling_grid",
]

_MODULES = (
    counted,
    karras,
    logsnr,
    edm,
    flow,
    few_step,
    exponential,
    kl_optimal,
    vp,
    simple,
    normal,
    ddim_uniform,
    beta,
    linear_quadratic,
    bong_tangent,
    flow_dynamic,
    flow_karras,
    tables,
)
GRIDS = Parts(
    "grid",
    {one.name: one for module in _MODULES for one in module.GRIDS},
    Grid,
    group="autosearch.grids",
)


def check_grid(name: str, schedule: NoiseSchedule) -> None:
    """Refuse a name that is no grid of a model's, whatever the number of steps.

    Args:
        name: one of :data:`GRIDS`, with or without its settings.
        schedule: of the model.

    Raises:
        UserError: for an unknown name or a wrong setting, or a grid that this family of schedules
            lacks.
    """
    _read(name, schedule)


def grid(name: str, schedule: NoiseSchedule, steps: int, *, whole: bool = True) -> list[GridPoint]:
    """The points of a grid, from noise to clean.

    Args:
        name: one of :data:`GRIDS`, with or without its settings: ``gits:1.1``.
        schedule: of the model.
        steps: how many points.
        whole: whether networks with discrete training times are given whole times where a reference
            rounds them, as by DDIM and the multistep solvers, or real ones where the grid has them,
            as by Euler.

    Raises:
        UserError: for an unknown name or a wrong setting, a grid that this family of schedules
            lacks, or a number of steps that the grid cannot have.
    """
    found, values = _read(name, schedule)
    if steps < 1:
        raise UserError(f"grid {name!r}: the number of steps is {steps}; it must be at least 1")
    make = found.points if whole or found.real is None else found.real
    points = list(make(schedule, steps, *values))
    if len(points) != steps:
        raise UserError(
            f"grid {name!r} has {len(points)} steps where {steps} are asked for, as at its source; "
            "use another number of steps"
        )
    if any(not _falls(a, b, schedule) for a, b in pairwise(points)):
        raise UserError(f"grid {name!r} repeats times at {steps} steps; use fewer steps")
    return points


def grid_end(name: str, schedule: NoiseSchedule, steps: int) -> float | Literal["clean"]:
    """Where the last step of a grid ends: the clean end, or a half log-SNR, log(alpha/sigma)."""
    end = GRIDS[name.partition(":")[0]].end
    return "clean" if end is None else end(schedule, steps)


def sampling_grid(
    name: str, schedule: NoiseSchedule, steps: int, *, whole: bool = True
) -> SamplingGrid:
    """The points of a grid with its two ends; see :func:`grid`."""
    points = grid(name, schedule, steps, whole=whole)
    start = GRIDS[name.partition(":")[0]].start_in_sigma
    return SamplingGrid(tuple(points), grid_end(name, schedule, steps), start)


def grids_for(schedule: NoiseSchedule, *, usual: bool = False) -> list[str]:
    """The names of this project's grids that a schedule's family has.

    Args:
        schedule: of a model.
        usual: only those that a search tries which names no baselines.
    """
    return [
        name
        for name, one in GRIDS.own.items()
        if schedule.family in one.families and (one.usual or not usual)
    ]


def _read(text: str, schedule: NoiseSchedule) -> tuple[Grid, tuple[float, ...]]:
    """The grid of a name and the values of its settings."""
    name, *given = text.split(":")
    family = schedule.family
    if name not in GRIDS:
        others = {other for other, one in GRIDS.own.items() if family not in one.families}
        raise unknown_name("grid", name, set(GRIDS.names) - others)
    found = GRIDS[name]
    if family not in found.families:
        valid = ", ".join(grids_for(schedule, usual=True))
        raise UserError(
            f"grid {name!r} is not defined for {family} models; use {valid} or another of "
            "'autosearch list baselines'"
        )
    written = with_settings(name, found.settings)
    return found, setting_values(
        name, found.settings, given, where=f"grid {text!r}", written=written
    )


def _falls(here: GridPoint, there: GridPoint, schedule: NoiseSchedule) -> bool:
    """Whether the noise falls from a point to the next one."""
    if here[1] is None and there[1] is None:
        return there[0] < here[0]
    levels = (schedule.log_snr(time) if level is None else level for time, level in (here, there))
    return next(levels) < next(levels)
