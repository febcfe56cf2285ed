"""Times and log-SNRs of a recipe, checked against a model's schedule."""

import math
from collections.abc import Sequence

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe, round_float

__all__ = ["checked_log_snrs", "checked_times"]


def checked_times(recipe: Recipe, schedule: NoiseSchedule) -> list[float]:
    times = [step.time for step in recipe.steps]
    for i, time in enumerate(times):
        if not schedule.last <= time <= schedule.first:
            raise UserError(
                f"recipe: steps[{i}].time {time:g} is outside this model's range, "
                f"{schedule.first:g} down to {schedule.last:g}"
            )
        if i and time >= times[i - 1]:
            raise UserError(
                f"recipe: times must decrease, but steps[{i}].time {time:g} follows "
                f"{times[i - 1]:g}; sort them from noise to clean and drop repeats"
            )
    return times


def checked_log_snrs(
    recipe: Recipe, times: Sequence[float], schedule: NoiseSchedule
) -> list[float]:
    """The log-SNR at the start of each step, and the end's."""
    values = []
    for step, time in zip(recipe.steps, times, strict=True):
        # Written out, a recipe's nine digits of the default stand for the default itself: at high
        # noise the clean data follow from a noise prediction only with all digits.
        default = schedule.log_snr(time)
        given = step.log_snr
        values.append(default if given is None or given == round_float(default) else given)
    values.append(math.inf if recipe.end == "clean" else float(recipe.end))
    for i in range(1, len(values)):
        if not values[i] > values[i - 1]:
            what = "end" if i == len(times) else f"steps[{i}]"
            raise UserError(
                f"recipe: log-SNR must grow, but {what} has {values[i]:g} after "
                f"{values[i - 1]:g}; order the steps from noise to clean"
            )
    return values
