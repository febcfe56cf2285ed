"""The closed-form few-step schedule of "Hyperparameters are all you need".

Four numbers (n, rho, k, rho_t): of n Karras levels over the schedule's range and a closing 0, the
first and the one at index k bound the steps; between their *times*, K + 1 points are spaced by
``rho_t``. Sampling stops at the last of them, which is not clean.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autosearch.diffusion.schedules import ZERO_SNR_FLOOR, NoiseSchedule
from autosearch.errors import UserError

__all__ = ["PRESETS", "FewStep", "few_step", "few_step_end", "few_step_times", "power_spaced"]


@dataclass(frozen=True)
class FewStep:
    """The four numbers; ``k`` from 1 to n - 1."""

    n: int
    rho: float
    k: int
    rho_t: float = 1.2


# By step count, as its authors run Stable Diffusion 1.5.
PRESETS: Mapping[int, FewStep] = {
    4: FewStep(8, 5, 5),
    5: FewStep(8, 5, 6),
    6: FewStep(8, 5, 6),
    8: FewStep(12, 7, 8),
}


def few_step_times(schedule: NoiseSchedule, steps: int, numbers: FewStep) -> list[float]:
    """The K + 1 times from noise to clean, the last being where sampling stops."""
    first, last = schedule.first, schedule.last
    noisiest = schedule.log_snr(first)
    high = math.exp(-(noisiest if math.isfinite(noisiest) else ZERO_SNR_FLOOR))
    low = math.exp(-schedule.log_snr(last))
    level = power_spaced(high, low, numbers.n, rho=numbers.rho)[numbers.k]
    stop = max(schedule.time(-math.log(level)), last)
    return power_spaced(first, stop, steps + 1, rho=numbers.rho_t)


def few_step(schedule: NoiseSchedule, steps: int) -> list[tuple[float, float | None]]:
    """The published grid of a step count."""
    return [(time, None) for time in few_step_times(schedule, steps, _preset(steps))[:-1]]


def few_step_end(schedule: NoiseSchedule, steps: int) -> float:
    """The half log-SNR, log(alpha/sigma), at which the published grid stops."""
    return schedule.log_snr(few_step_times(schedule, steps, _preset(steps))[-1])


def power_spaced(high: float, low: float, count: int, *, rho: float) -> list[float]:
    """``count`` values from high to low whose rho-th roots are equally far apart.

    Karras et al. 2022, eq. 5; rho 1 is linear, large rho is geometric.
    """
    roots = np.linspace(high ** (1 / rho), low ** (1 / rho), count)
    return [float(root**rho) for root in roots]


def _preset(steps: int) -> FewStep:
    if steps not in PRESETS:
        published = ", ".join(map(str, PRESETS))
        raise UserError(f"grid 'few-step' is published for {published} steps, not for {steps}")
    return PRESETS[steps]
