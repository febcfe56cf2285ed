"""Decreasing times as free numbers."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.recipe import Recipe

__all__ = ["Gaps"]

# The least share of the whole range between two times to begin with.
_LEAST = 1e-2

Array = NDArray[np.float64]


class Gaps:
    """Times by the gaps between them in log-SNR, which add up to the schedule's range.

    Both ends of the range have a gap too. Gaps are logarithms, relative to the last one: as many
    numbers as times, and none of them out of order, whatever they are.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self._schedule = schedule
        low = schedule.log_snr(schedule.first)
        if not math.isfinite(low):
            span = schedule.first - schedule.last
            low = schedule.log_snr(schedule.first - 1e-3 * span)
        self._low, self._high = low, schedule.log_snr(schedule.last)

    def times(self, gaps: Array) -> list[float]:
        """[K] times of [K] numbers."""
        sizes = np.exp(np.append(gaps, 0.0) - max(gaps.max(), 0.0))
        places = np.cumsum(sizes)[:-1] / sizes.sum()
        levels = self._low + (self._high - self._low) * places
        return [self._schedule.rounded(self._schedule.time(level)) for level in levels.tolist()]

    def of(self, times: Sequence[float]) -> Array:
        """The inverse, but for times too near to one another or to an end."""
        levels = np.array([self._schedule.log_snr(time) for time in times])
        places = np.clip((levels - self._low) / (self._high - self._low), 0.0, 1.0)
        sizes = np.log(np.maximum(np.diff([0.0, *places, 1.0]), _LEAST))
        found: Array = sizes[:-1] - sizes[-1]
        return found

    def applied(self, recipe: Recipe, gaps: Array) -> Recipe:
        """A recipe at other times, all else as it was; it ends clean."""
        steps = [
            step.model_copy(update={"time": time, "log_snr": None})
            for step, time in zip(recipe.steps, self.times(gaps), strict=True)
        ]
        return recipe.model_copy(update={"steps": steps, "end": "clean"})
