"""Points of noise levels: the scale in which samplers in sigma count them, and a model's range.

A level is sigma of that scale: ``sigma / alpha`` where the noise grows without bound (betas, EDM),
and the time itself where it does not (flows, whose sigma is 1 at pure noise).
"""

import math
from collections.abc import Iterable

from autosearch.diffusion.grids.base import GridPoint
from autosearch.diffusion.schedules import ZERO_SNR_FLOOR, NoiseSchedule, RectifiedFlow

__all__ = [
    "CLEAN",
    "at_levels",
    "at_log_snrs",
    "finite_ends",
    "indexed_time",
    "level_range",
    "shifted",
]

# A level below is as good as clean: ComfyUI then leaves it to the end.
CLEAN = 1e-5
# Half log-SNRs that differ by less are one: the schedule's own is then left to the schedule.
_SAME = 1e-9


def finite_ends(schedule: NoiseSchedule) -> tuple[float, float]:
    """Half log-SNR at the ends of a range that stays finite: flow models end at t = 0.999.

    Betas of zero terminal SNR end where diffusers' solvers in sigma end them.
    """
    first, last = schedule.log_snr(schedule.first), schedule.log_snr(schedule.last)
    if math.isinf(first):
        first = schedule.log_snr(0.999) if schedule.family == "flow" else ZERO_SNR_FLOOR
    return first, last


def level_range(schedule: NoiseSchedule) -> tuple[float, float]:
    """The largest and the smallest level of a model's own.

    Of a flow 1 and its shifted 1 / T, the ends of the table that ComfyUI and diffusers keep.
    """
    if schedule.family == "flow":
        return 1.0, shifted(schedule, 1.0 / schedule.train_steps)
    first, last = finite_ends(schedule)
    return math.exp(-first), math.exp(-last)


def at_log_snrs(schedule: NoiseSchedule, log_snrs: Iterable[float]) -> list[GridPoint]:
    """The exact times of half log-SNRs, log(alpha/sigma), of a model's range."""
    return [(schedule.time(value), None) for value in log_snrs]


def at_levels(schedule: NoiseSchedule, levels: Iterable[float]) -> list[GridPoint]:
    """The points of levels, from the largest on: the levels exactly, and their exact times.

    A level beyond the model's range stands as it is, at the nearest time of the range.
    """
    if schedule.family == "flow":
        return [(level, None) for level in levels]
    return [_at_log_snr(schedule, -math.log(level)) for level in levels]


def _at_log_snr(schedule: NoiseSchedule, log_snr: float) -> GridPoint:
    time = min(max(schedule.time(log_snr), schedule.last), schedule.first)
    return time, None if abs(schedule.log_snr(time) - log_snr) < _SAME else log_snr


def indexed_time(schedule: NoiseSchedule, index: float) -> float:
    """The time of entry ``index`` of the table of T levels that ComfyUI keeps of a model.

    Of betas the training times, of EDM T levels that are even in their logarithm, of a flow the
    shifted 1 / T, 2 / T, ..., 1. Real indices lie between.
    """
    if schedule.family == "flow":
        return shifted(schedule, (index + 1) / schedule.train_steps)
    if schedule.family == "edm":
        share = index / (schedule.train_steps - 1)
        level: float = schedule.last * (schedule.first / schedule.last) ** share
        return level
    return schedule.training_time(index)


def shifted(schedule: NoiseSchedule, time: float, shift: float = 0.0) -> float:
    """``s t / (1 + (s - 1) t)`` (Esser et al. 2024, eq. 23).

    Args:
        schedule: of a flow.
        time: from 0 to 1.
        shift: ``s``; 0: the one that the schedule knows.
    """
    assert isinstance(schedule, RectifiedFlow)
    s = shift or schedule.shift
    return s * time / (1 + (s - 1) * time)
