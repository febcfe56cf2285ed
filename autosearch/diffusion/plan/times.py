"""Times and half log-SNRs of a recipe, checked against a model's schedule."""

import math
from collections.abc import Sequence

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe, round_float

__all__ = ["checked_log_snrs", "checked_times", "with_intervals"]


def with_intervals(recipe: Recipe, schedule: NoiseSchedule) -> Recipe:
    """The same recipe with every ``interval`` written out as times.

    ERTACache (2025): a step that reuses goes ``phi`` times as far in time as it would, and what
    is left to go is spread over the steps after it in proportion to their own lengths; the last
    one goes to the end. A step that is moved has its own noise level again.
    """
    steps = recipe.steps
    if all(step.interval == 1 for step in steps):
        return recipe
    ends = [*(step.time for step in steps[1:]), schedule.last]
    here = steps[0].time
    shifted = [steps[0].model_copy(update={"interval": 1.0})]
    for step, following, end in zip(steps, steps[1:], ends, strict=False):
        room = step.time - schedule.last
        left = (here - schedule.last) / room if room else 1.0
        here -= left * step.interval * (step.time - end)
        time = round_float(here)
        kept = following.log_snr if time == round_float(following.time) else None
        change = {"time": time, "log_snr": kept, "interval": 1.0}
        shifted.append(following.model_copy(update=change))
    return recipe.model_copy(update={"steps": shifted})


def checked_times(recipe: Recipe, schedule: NoiseSchedule) -> list[float]:
    """The time of each step, in the model's unit.

    A time may stand twice: on published grids that round times and not levels, and where a restart
    has come to a level that the network is asked at again.

    Raises:
        UserError: for times outside the model's range, or that grow.
    """
    times = [step.time for step in recipe.steps]
    for i, time in enumerate(times):
        if not schedule.least <= time <= schedule.first:
            raise UserError(
                f"recipe: steps[{i}].time {time:g} is outside this model's range, "
                f"{schedule.first:g} down to {schedule.least:g}"
            )
        if i and time > times[i - 1]:
            raise UserError(
                f"recipe: times must not grow, but steps[{i}].time {time:g} follows "
                f"{times[i - 1]:g}; sort them from noise to clean"
            )
    return times


def checked_log_snrs(
    recipe: Recipe, times: Sequence[float], schedule: NoiseSchedule
) -> list[float]:
    """The half log-SNR, log(alpha/sigma), at the start of each step and at the end of the last.

    The last step may end where it begins, as published grids do that end at their smallest level:
    it leaves the state as it is, and its evaluation serves the corrector before it.

    Raises:
        UserError: for values that do not grow, but at times that repeat, where they may stay.
    """
    values = []
    for step, time in zip(recipe.steps, times, strict=True):
        # Written out, a recipe's nine digits of the default stand for the default itself: at high
        # noise the clean data follow from a noise prediction only with all digits.
        default = schedule.log_snr(time)
        given = step.log_snr
        values.append(default if given is None or given == round_float(default) else given)
    end = math.inf if recipe.end == "clean" else float(recipe.end)
    stays = end in (values[-1], round_float(values[-1]))
    if not stays:
        values.append(end)
    for i in range(1, len(values)):
        repeats = i < len(times) and times[i] == times[i - 1] and values[i] == values[i - 1]
        if not (values[i] > values[i - 1] or repeats):
            what = "end" if i == len(times) else f"steps[{i}]"
            raise UserError(
                f"recipe: log-SNR must grow, but {what} has {values[i]:g} after "
                f"{values[i - 1]:g}; order the steps from noise to clean"
            )
    return [*values, values[-1]] if stays else values
