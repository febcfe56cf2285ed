"""Final samples of a recipe as a function of its times, and those of a fine trajectory."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from autosearch._typing import Array
from autosearch.baselines.fitted.base import check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import fine_states
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["Ends", "Gaps"]

# The least share of the whole range between two times to begin with.
_LEAST = 1e-2


class Gaps:
    """Times by the gaps between them in half log-SNR, which add up to the schedule's range.

    The half log-SNR is log(alpha/sigma). Both ends of the range have a gap too. Gaps are
    logarithms, relative to the last one: as many numbers as times, and none of them out of order,
    whatever they are.
    """

    def __init__(self, schedule: NoiseSchedule) -> None:
        self._schedule = schedule
        low = schedule.log_snr(schedule.first)
        if not math.isfinite(low):
            span = schedule.first - schedule.last
            low = schedule.log_snr(schedule.first - 1e-3 * span)
        self._low, self._high = low, schedule.log_snr(schedule.last)

    def times(self, gaps: Array) -> list[float]:
        """The times [K] of gaps [K]."""
        sizes = np.exp(np.append(gaps, 0.0) - max(gaps.max(), 0.0))
        places = np.cumsum(sizes)[:-1] / sizes.sum()
        levels = self._low + (self._high - self._low) * places
        return [self._schedule.rounded(self._schedule.time(level)) for level in levels.tolist()]

    def from_times(self, times: Sequence[float]) -> Array:
        """The gaps [K] of times [K]: inverts :meth:`times` unless they are nearly equal."""
        levels = np.array([self._schedule.log_snr(time) for time in times])
        places = np.clip((levels - self._low) / (self._high - self._low), 0.0, 1.0)
        sizes = np.log(np.maximum(np.diff([0.0, *places, 1.0]), _LEAST))
        found: Array = sizes[:-1] - sizes[-1]
        return found

    def apply(self, recipe: Recipe, gaps: Array) -> Recipe:
        """A copy of a recipe at the times of gaps [K]; it ends clean."""
        changes = [{"time": time, "log_snr": None} for time in self.times(gaps)]
        return with_steps(recipe, changes, end="clean")


class Ends:
    """A recipe's ends as a function of the gaps between its times.

    Args:
        samples: of which the fine trajectory is run.
        fine: its steps, about.

    Attributes:
        start: the recipe's own gaps [K].
        wanted: the fine trajectory's clean ends [samples, size], whatever the recipe's own end.

    Raises:
        UserError: for stochastic recipes, and for weights that belong to times.
    """

    def __init__(
        self, name: str, recipe: Recipe, calibrator: Calibrator, *, samples: int, fine: int
    ) -> None:
        check_recipe(recipe, name, noisy=False, weighted=False)
        self._recipe = recipe
        self._calibrator = calibrator
        self._gaps = Gaps(calibrator.denoiser.schedule)
        first = recipe.steps[0].model_copy(
            update={"time": calibrator.denoiser.schedule.first, "log_snr": None}
        )
        # Where a recipe with other times ends, see Gaps.apply: both are clean.
        whole = recipe.model_copy(update={"steps": [first, *recipe.steps[1:]], "end": "clean"})
        self.wanted = _flat(fine_states(whole, calibrator, steps=fine, samples=samples)[-1])
        self.start = self._gaps.from_times([step.time for step in recipe.steps])

    def recipe(self, gaps: Array) -> Recipe:
        """The recipe with these gaps between its times."""
        return self._gaps.apply(self._recipe, gaps)

    def reach(self, gaps: Array, samples: int) -> Array | None:
        """Final samples [samples, size]; None for gaps that rounded times cannot have."""
        try:
            return _flat(self._calibrator.states(self.recipe(gaps), samples)[-1].x)
        except UserError:
            return None


def _flat(x: torch.Tensor) -> Array:
    found: Array = x.double().flatten(1).cpu().numpy()
    return found
