"""The levels of Karras et al. 2022 at whole times, as diffusers runs them."""

import math

from autosearch.diffusion.few_step import power_spaced
from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_log_snrs, finite_ends
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["GRIDS", "karras_log_snrs", "karras_points"]


def karras_log_snrs(schedule: NoiseSchedule, steps: int) -> list[float]:
    """Half log-SNRs of the levels of Karras et al. 2022, eq. 5, over the schedule's own range."""
    first, last = finite_ends(schedule)
    sigmas = power_spaced(math.exp(-first), math.exp(-last), steps, rho=7.0)
    return [-math.log(sigma) for sigma in sigmas]


def karras_points(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Those levels at their exact times."""
    return at_log_snrs(schedule, karras_log_snrs(schedule, steps))


def _whole(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """The network gets whole times, the solver the exact levels, as in diffusers.

    Its multistep solvers round the times, but cut them off on the cosine schedule.
    """
    if schedule.family != "vp":
        return karras_points(schedule, steps)
    to_whole = math.floor if schedule.name == "cosine" else round
    values = karras_log_snrs(schedule, steps)
    return [(float(to_whole(schedule.time(value))), value) for value in values]


GRIDS = (
    Grid(
        "karras",
        "levels with even 7th roots; the network's times whole, where diffusers rounds them",
        ("vp", "edm"),
        _whole,
        "Karras et al. 2022, eq. 5; diffusers' use_karras_sigmas",
        real=karras_points,
        usual=True,
    ),
)
