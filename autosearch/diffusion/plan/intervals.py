"""Intervals of steps made shorter, as times that say so."""

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.recipe import Recipe, round_float

__all__ = ["with_intervals"]


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
    moved = [steps[0].model_copy(update={"interval": 1.0})]
    for step, following, end in zip(steps, steps[1:], ends, strict=False):
        left = (here - schedule.last) / (step.time - schedule.last)
        here -= left * step.interval * (step.time - end)
        time = round_float(here)
        kept = following.log_snr if time == round_float(following.time) else None
        change = {"time": time, "log_snr": kept, "interval": 1.0}
        moved.append(following.model_copy(update=change))
    return recipe.model_copy(update={"steps": moved})
