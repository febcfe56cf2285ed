"""Even times of flows, shifted as diffusers shifts them.

``flow`` and ``flow-shift`` are what diffusers' scheduler of flows makes of
``sigmas=linspace(1, 1/K, K)``, as the Flux pipeline calls it, at shift 1 and at the model's own (3
where it has none); ``flow-shift-linspace`` is what it makes of a step count alone at that shift, as
the pipeline of Stable Diffusion 3 calls it; ``flow-shift-ms`` and ``flow-shift-dpm`` what its UniPC
and its DPM-Solver make of one with ``use_flow_sigmas``.
"""

import math
from collections.abc import Sequence

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import shifted
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting

__all__ = ["GRIDS", "TERMINAL", "at_thousandths", "even_times", "stretched"]

# Diffusers' UniPC of flows starts so far from pure noise, and gives networks whole thousandths.
_START = 1e-6
_THOUSANDTHS = 1000

_SHIFT = Setting("shift", 0, 0, 1000, whole=False)
TERMINAL = Setting("terminal", 0, 0, 0.999, whole=False)


def even_times(steps: int) -> list[float]:
    """``1, 1 - 1/K, ..., 1/K``."""
    return [1.0 - i / steps for i in range(steps)]


def stretched(times: Sequence[float], terminal: float) -> list[float]:
    """Times stretched from 1 on so that the last is ``terminal``, as in LTX-Video.

    Args:
        times: from 1 down.
        terminal: 0 leaves them as they are; so does a single time, which has nothing to stretch.
    """
    if not terminal or len(times) == 1:
        return list(times)
    scale = (1 - times[-1]) / (1 - terminal)
    return [1 - (1 - time) / scale for time in times]


def _flow(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    return [(time, None) for time in even_times(steps)]


def _flow_shift(
    schedule: NoiseSchedule, steps: int, shift: float, terminal: float
) -> list[GridPoint]:
    times = [shifted(schedule, time, shift) for time in even_times(steps)]
    return [(time, None) for time in stretched(times, terminal)]


def _linspace(schedule: NoiseSchedule, steps: int) -> list[GridPoint]:
    """Down to the shifted 1 / T, and shifted once more, as in diffusers."""
    last = shifted(schedule, 1.0 / schedule.train_steps)
    return [(shifted(schedule, time), None) for time in np.linspace(1.0, last, steps).tolist()]


def _multistep(schedule: NoiseSchedule, steps: int, shift: float) -> list[GridPoint]:
    """K + 1 times from 1 to 1 / T without the last, as diffusers' UniPC takes them."""
    times = np.linspace(1.0, 1.0 / schedule.train_steps, steps + 1)[:-1].tolist()
    return [(shifted(schedule, time, shift), None) for time in times]


def _dpm(schedule: NoiseSchedule, steps: int, shift: float) -> list[GridPoint]:
    """K + 1 times from 1 - 1 / T to 0 without the last, as diffusers' DPM-Solver takes them."""
    # Subtracted from 1 as there: which thousandth a time is cut to hangs on the last bit.
    times = 1.0 - np.linspace(1.0, 1.0 / schedule.train_steps, steps + 1)[:0:-1]
    return [(shifted(schedule, time, shift), None) for time in times.tolist()]


def at_thousandths(schedule: NoiseSchedule, points: Sequence[GridPoint]) -> list[GridPoint]:
    """The levels of a flow as they are, the network's times cut to whole thousandths.

    Diffusers' solvers of betas do so on flows. A time of 0 is the least that the schedule has.
    """
    cut: list[GridPoint] = []
    for time, _ in points:
        level = min(time, 1 - _START)
        whole = math.floor(level * _THOUSANDTHS) / _THOUSANDTHS
        cut.append((max(whole, schedule.least), math.log1p(-level) - math.log(level)))
    return cut


def _whole_multistep(schedule: NoiseSchedule, steps: int, shift: float) -> list[GridPoint]:
    return at_thousandths(schedule, _multistep(schedule, steps, shift))


def _whole_dpm(schedule: NoiseSchedule, steps: int, shift: float) -> list[GridPoint]:
    return at_thousandths(schedule, _dpm(schedule, steps, shift))


_SCHEDULER = "diffusers' FlowMatchEulerDiscreteScheduler"
_SHIFTED = "Esser et al. 2024, eq. 23; "
GRIDS = (
    Grid(
        "flow",
        "1, 1 - 1/K, ..., 1/K",
        ("flow",),
        _flow,
        f"{_SCHEDULER}, called with sigmas, at shift 1",
        usual=True,
    ),
    Grid(
        "flow-shift",
        "the same, shifted (0: by the model's shift), then stretched to end at the terminal",
        ("flow",),
        _flow_shift,
        f"{_SHIFTED}{_SCHEDULER}, called with sigmas",
        settings=(_SHIFT, TERMINAL),
        usual=True,
    ),
    Grid(
        "flow-shift-linspace",
        "K even times from 1 to the shifted 1/T, shifted again",
        ("flow",),
        _linspace,
        f"{_SHIFTED}{_SCHEDULER}, called with a number of steps",
        usual=True,
    ),
    Grid(
        "flow-shift-ms",
        "K + 1 even times from 1 to 1/T without the last, shifted",
        ("flow",),
        _whole_multistep,
        f"{_SHIFTED}diffusers' UniPC with use_flow_sigmas",
        settings=(_SHIFT,),
        real=_multistep,
    ),
    Grid(
        "flow-shift-dpm",
        "K + 1 even times from 1 - 1/T to 0 without the last, shifted",
        ("flow",),
        _whole_dpm,
        f"{_SHIFTED}diffusers' DPM-Solver, DEIS and SA-Solver with use_flow_sigmas",
        settings=(_SHIFT,),
        real=_dpm,
    ),
)
