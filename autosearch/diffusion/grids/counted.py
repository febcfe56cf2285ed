"""Grids that count training steps, as diffusers' DDIM and multistep solvers do.

``leading``, ``linspace`` and ``trailing`` are those of diffusers' DDIM, ``leading-ms`` and
``linspace-ms`` those of its multistep solvers, at every step count: at one step, ``leading``,
``linspace`` and ``quadratic`` are the single time 0. Its samplers in sigma (Euler) do not round
the times of ``linspace``.
"""

import math
from collections.abc import Iterable

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.schedules import ZERO_SNR_FLOOR, NoiseSchedule

__all__ = ["GRIDS"]


def _counted(schedule: NoiseSchedule, indices: Iterable[float]) -> list[GridPoint]:
    return [(schedule.training_time(index), None) for index in indices]


def _down(schedule: NoiseSchedule, count: int) -> list[float]:
    values: list[float] = np.linspace(0, schedule.train_steps - 1, count)[::-1].tolist()
    return values


def _leading(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    stride = schedule.train_steps // steps
    return _counted(schedule, [i * stride for i in reversed(range(steps))])


def _leading_ms(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    stride = schedule.train_steps // (steps + 1)
    return _counted(schedule, [i * stride for i in range(steps, 0, -1)])


def _linspace(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    return _counted(schedule, map(round, _down(schedule, steps)))


def _linspace_ms(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    return _counted(schedule, map(round, _down(schedule, steps + 1)[:-1]))


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


def _quadratic(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """As in DDIM's own code; latent diffusion adds 1 to each time."""
    roots = np.linspace(0, math.sqrt(schedule.train_steps * 0.8), steps)[::-1]
    return _counted(schedule, [int(root**2) for root in roots])


_DIFFUSERS = "diffusers' timestep_spacing (Lin et al. 2024, table 2)"
GRIDS = (
    Grid(
        "leading",
        "every T // K-th training time, 0 the last",
        ("vp",),
        _leading,
        _DIFFUSERS,
        start_in_sigma="scheduler",
        usual=True,
    ),
    Grid(
        "leading-ms",
        "every T // (K + 1)-th training time but 0",
        ("vp",),
        _leading_ms,
        f"{_DIFFUSERS}, multistep solvers",
        start_in_sigma="scheduler",
        usual=True,
    ),
    Grid(
        "linspace",
        "K even training times from T - 1 to 0",
        ("vp",),
        _linspace,
        _DIFFUSERS,
        real=_linspace_real,
        usual=True,
    ),
    Grid(
        "linspace-ms",
        "K + 1 even training times from T - 1, without the 0",
        ("vp",),
        _linspace_ms,
        f"{_DIFFUSERS}, multistep solvers",
        usual=True,
    ),
    Grid(
        "trailing",
        "every T / K-th training time from T - 1 down",
        ("vp",),
        _trailing,
        _DIFFUSERS,
        usual=True,
    ),
    Grid(
        "quadratic",
        "squares of even roots, to 0.8 T",
        ("vp",),
        _quadratic,
        "Song et al. 2021 (DDIM)",
        usual=True,
    ),
)
