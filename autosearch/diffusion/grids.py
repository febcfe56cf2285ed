"""Time grids by name, as the literature and diffusers define them.

A grid gives K pairs (time for the network, half log-SNR, log(alpha/sigma), for the solver or None
for the schedule's at that time), from noise to clean. T is the number of training steps.

``leading``, ``linspace`` and ``trailing`` are those of diffusers' DDIM, ``leading-ms`` and
``linspace-ms`` those of its multistep solvers, at every step count: at one step, ``leading``,
``linspace`` and ``quadratic`` are the single time 0. Its samplers in sigma (Euler) do not round
the times of ``linspace`` and ``karras``; see ``whole``. ``flow`` and ``flow-shift`` are what
diffusers' scheduler of flows makes of ``sigmas=linspace(1, 1/K, K)``, as the Flux pipeline calls
it, at shift 1 and at the model's own (3 where it has none); ``flow-shift-linspace`` is what it
makes of a step count alone at that shift, as the pipeline of Stable Diffusion 3 calls it.

A model that came with a scheduler has grids of its own besides; see :class:`OwnGrids`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

from autosearch.diffusion.few_step import few_step, few_step_end, power_spaced
from autosearch.diffusion.schedules import (
    ZERO_SNR_FLOOR,
    NoiseSchedule,
    RectifiedFlow,
    ScheduleFamily,
)
from autosearch.errors import UserError, unknown_name

__all__ = ["GRIDS", "GridPoint", "OwnGrids", "SamplingGrid", "grid", "grid_end", "grids_for"]

GridPoint = tuple[float, float | None]
Grid = Callable[[NoiseSchedule, int], Sequence[GridPoint]]


@dataclass(frozen=True)
class SamplingGrid:
    """A grid with its two ends.

    Attributes:
        points: from noise to clean.
        end: where the last step ends: the clean end, or a half log-SNR, log(alpha/sigma).
        start_in_sigma: the scale of the initial noise of solvers in sigma, such as Euler's, see
            :class:`autosearch.recipe.Start`; others start as they always do.
    """

    points: tuple[GridPoint, ...]
    end: float | Literal["clean"]
    start_in_sigma: Literal["unit", "sigma", "scheduler"]


class OwnGrids(Protocol):
    """The grids that a model's own scheduler makes."""

    def __call__(self, scheduler: str, steps: int) -> SamplingGrid:
        """The grid of so many steps.

        Args:
            scheduler: the class of diffusers that runs the solver.
            steps: how many.

        Raises:
            UserError: for a number of steps that it cannot have.
        """
        ...


def grid(name: str, schedule: NoiseSchedule, steps: int, *, whole: bool = True) -> list[GridPoint]:
    """The points of a grid, from noise to clean.

    Args:
        name: one of :data:`GRIDS`.
        schedule: of the model.
        steps: how many points.
        whole: whether networks with discrete training times are given whole times only, as by
            DDIM and the multistep solvers, or real ones where the grid has them, as by Euler.

    Raises:
        UserError: for an unknown name, a grid that this family of schedules lacks, or a number of
            steps that the grid cannot have.
    """
    if name not in GRIDS:
        raise unknown_name("grid", name, GRIDS)
    if name not in grids_for(schedule):
        valid = ", ".join(grids_for(schedule))
        raise UserError(f"grid {name!r} is not defined for {schedule.family} models; use {valid}")
    if steps < 1:
        raise UserError(f"grid {name!r}: the number of steps is {steps}; it must be at least 1")
    make = GRIDS[name] if whole else _REAL_TIMES.get(name, GRIDS[name])
    points = list(make(schedule, steps))
    if any(b[0] >= a[0] and a[1] is None and b[1] is None for a, b in pairwise(points)):
        raise UserError(f"grid {name!r} repeats times at {steps} steps; use fewer steps")
    return points


def grid_end(name: str, schedule: NoiseSchedule, steps: int) -> float | Literal["clean"]:
    """Where the last step of a grid ends: the clean end, or a half log-SNR."""
    return few_step_end(schedule, steps) if name == "few-step" else "clean"


def grids_for(schedule: NoiseSchedule) -> list[str]:
    """The names of the grids that a schedule's family has."""
    return [name for name in GRIDS if schedule.family in _FAMILIES.get(name, ("vp",))]


def _counted(schedule: NoiseSchedule, indices: Iterable[float]) -> list[GridPoint]:
    return [(schedule.training_time(index), None) for index in indices]


def _at(schedule: NoiseSchedule, log_snrs: Iterable[float]) -> list[GridPoint]:
    """The exact times of half log-SNRs."""
    return [(schedule.time(value), None) for value in log_snrs]


def _linspace_real(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Real times; the solver's sigma/alpha is linear between whole ones, as in diffusers."""
    points: list[GridPoint] = []
    for index in _down(schedule, steps):
        below = math.floor(index)
        low, high = (_finite_sigma(schedule, schedule.training_time(i)) for i in (below, below + 1))
        sigma = low + (index - below) * (high - low)
        points.append((schedule.training_time(index), -math.log(sigma)))
    return points


def _finite_sigma(schedule: NoiseSchedule, time: float) -> float:
    """``sigma / alpha``; of zero terminal SNR diffusers' floor."""
    log_snr = schedule.log_snr(time)
    return math.exp(-(log_snr if math.isfinite(log_snr) else ZERO_SNR_FLOOR))


def _trailing(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Accumulated as in diffusers, whose halves round the way that the sum of strides falls.

    At some counts (61, 103, ...) that sum ends just above 0 and diffusers takes one step more, at
    time -1; we do not.
    """
    total = schedule.train_steps
    return _counted(schedule, (np.arange(total, 0, -total / steps).round()[:steps] - 1).tolist())


def _ramp(schedule: NoiseSchedule, steps: int) -> list[float]:
    """Half log-SNRs of the levels of Karras et al. 2022, eq. 5, over the schedule's own range."""
    first, last = _finite_ends(schedule)
    sigmas = power_spaced(math.exp(-first), math.exp(-last), steps, rho=7.0)
    return [-math.log(sigma) for sigma in sigmas]


def _karras(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """The network gets whole times, the solver the exact levels, as in diffusers.

    Its multistep solvers round the times, but cut them off on the cosine schedule.
    """
    if schedule.family != "vp":
        return _at(schedule, _ramp(schedule, steps))
    to_whole = math.floor if schedule.name == "cosine" else round
    return [(float(to_whole(schedule.time(value))), value) for value in _ramp(schedule, steps)]


def _flow_shift_linspace(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Down to the shifted 1 / T, and shifted once more, as in diffusers."""
    last = _shifted(schedule, 1.0 / schedule.train_steps)
    return [(_shifted(schedule, time), None) for time in np.linspace(1.0, last, steps).tolist()]


def _shifted(schedule: NoiseSchedule, time: float) -> float:
    """``s t / (1 + (s - 1) t)`` (Esser et al. 2024, eq. 23), with the shift s of the schedule."""
    assert isinstance(schedule, RectifiedFlow)
    return schedule.shift * time / (1 + (schedule.shift - 1) * time)


def _finite_ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """Half log-SNR at the ends of a range that stays finite: flow models end at t = 0.999.

    Betas of zero terminal SNR end where diffusers' solvers in sigma end them.
    """
    first, last = schedule.log_snr(schedule.first), schedule.log_snr(schedule.last)
    if math.isinf(first):
        first = schedule.log_snr(0.999) if schedule.family == "flow" else ZERO_SNR_FLOOR
    return first, last


def _down(schedule: NoiseSchedule, count: int) -> list[float]:
    values: list[float] = np.linspace(0, schedule.train_steps - 1, count)[::-1].tolist()
    return values


# By the schedule s and the number of steps k.
GRIDS: Mapping[str, Grid] = {
    "leading": lambda s, k: _counted(s, [i * (s.train_steps // k) for i in reversed(range(k))]),
    "leading-ms": lambda s, k: _counted(
        s, [i * (s.train_steps // (k + 1)) for i in range(k, 0, -1)]
    ),
    "linspace": lambda s, k: _counted(s, map(round, _down(s, k))),
    "linspace-ms": lambda s, k: _counted(s, map(round, _down(s, k + 1)[:-1])),
    "trailing": _trailing,
    # As in DDIM's own code; latent diffusion adds 1 to each time.
    "quadratic": lambda s, k: _counted(
        s, [int(root**2) for root in np.linspace(0, math.sqrt(s.train_steps * 0.8), k)[::-1]]
    ),
    "karras": _karras,
    "logsnr": lambda s, k: _at(s, np.linspace(*_finite_ends(s), k + 1)[:-1].tolist()),
    # Karras levels with the network's time real and exact.
    "edm": lambda s, k: _at(s, _ramp(s, k)),
    "flow": lambda s, k: [(1.0 - i / k, None) for i in range(k)],
    "flow-shift": lambda s, k: [(_shifted(s, 1.0 - i / k), None) for i in range(k)],
    "flow-shift-linspace": _flow_shift_linspace,
    "few-step": few_step,
}
_REAL_TIMES: Mapping[str, Grid] = {"linspace": _linspace_real, "karras": GRIDS["edm"]}
# Where they are not ("vp",) alone.
_FAMILIES: Mapping[str, tuple[ScheduleFamily, ...]] = {
    "logsnr": ("vp", "edm", "flow"),
    "karras": ("vp", "edm"),
    "edm": ("vp", "edm"),
    "flow": ("flow",),
    "flow-shift": ("flow",),
    "flow-shift-linspace": ("flow",),
    "few-step": ("vp", "edm"),
}
