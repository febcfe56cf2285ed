"""``sigmas``: noise levels and times alone, for samplers that take a custom schedule."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autosearch.diffusion.schedules import NoiseSchedule, get_schedule
from autosearch.export.base import write_text
from autosearch.recipe import Recipe, Step, round_float

__all__ = ["sigmas_data", "write_sigmas"]

# Families of models whose pipelines take sigma itself, with alpha = 1 - sigma.
_FLOW = "flow"


def sigmas_data(recipe: Recipe) -> tuple[dict[str, Any], list[str]]:
    """The schedule of a recipe, and what of the recipe it leaves out.

    Returns:
        ``sigmas`` (K + 1 values: one for each step, then the end's, 0 for the clean end),
        ``timesteps`` (K values, what the network is given), ``start_scale`` (the standard
        deviation of the start in the model's own scaling), ``scaling`` and ``note``. Sigmas are in
        the scaling of Karras et al. 2022 (alpha = 1), ``sigma / alpha``; for flow models, where
        that is infinite at the start and pipelines take sigma itself, ``sigma``.
    """
    schedule = get_schedule(recipe.model.family, recipe.model.schedule)
    log_snrs = [
        schedule.log_snr(step.time) if step.log_snr is None else step.log_snr
        for step in recipe.steps
    ]
    ends = [*log_snrs, math.inf if recipe.end == "clean" else float(recipe.end)]
    flow = schedule.family == _FLOW
    lost = _lost(recipe.steps)
    data = {
        "sigmas": [round_float(_sigma(schedule, log_snr)) for log_snr in ends],
        "timesteps": [step.time for step in recipe.steps],
        "start_scale": _start_scale(recipe, schedule, log_snrs[0]),
        "scaling": "sigma, where alpha = 1 - sigma" if flow else "sigma / alpha",
        "solver": [_solver(step) for step in recipe.steps],
        "note": _note(recipe.steps, lost),
    }
    return data, lost


def write_sigmas(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write the schedule as JSON; the result says what sigmas alone cannot express."""
    data, lost = sigmas_data(recipe)
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")
    if not lost:
        return ()
    return [f"sigmas alone do not carry this recipe's {', '.join(lost)}; the note says what to set"]


def _sigma(schedule: NoiseSchedule, log_snr: float) -> float:
    if schedule.family == _FLOW:
        return schedule.alpha_sigma(log_snr)[1]
    return math.exp(-log_snr)


def _start_scale(recipe: Recipe, schedule: NoiseSchedule, log_snr: float) -> float:
    alpha, sigma = schedule.alpha_sigma(log_snr)
    scales = {"unit": 1.0, "sigma": sigma, "scheduler": math.hypot(alpha, sigma)}
    return round_float(scales[recipe.start.scale])


def _solver(step: Step) -> str:
    """What a step does, in a few characters: order, prediction and form."""
    return "1" if step.order == 1 else f"{step.order} {step.prediction} {step.form}"


def _lost(steps: Sequence[Step]) -> list[str]:
    """What differs from step to step or has no place in a list of sigmas."""
    lost = []
    full = [step for step in steps if step.order > 1]
    if _mixed_orders(steps):
        lost.append("per-step orders")
    if len({(step.prediction, step.form) for step in full}) > 1:
        lost.append("per-step predictions and forms")
    if any(step.eta > 0 for step in steps):
        lost.append("eta")
    if any(step.clip is not None for step in steps):
        lost.append("clipping")
    if any(step.sites for step in steps):
        lost.append("site actions")
    return lost


def _mixed_orders(steps: Sequence[Step]) -> bool:
    """Whether orders are other than one solver's usual: lower at the start and in the last step.

    Without history the first step is of order 1 in every library; most also lower the last.
    """
    last = steps[-1].order
    inner = {step.order for step in steps[1:-1]} or {last}
    return len(inner) > 1 or last not in (1, *inner)


def _note(steps: Sequence[Step], lost: Sequence[str]) -> str:
    orders = " ".join(str(step.order) for step in steps)
    kinds = sorted({f"{step.prediction} {step.form}" for step in steps if step.order > 1})
    text = f"orders by step: {orders}"
    if kinds:
        text += f"; above order 1: {', '.join(kinds)}"
    if lost:
        text += f"; not in the sigmas: {', '.join(lost)}"
    return text
