"""Noise levels and times alone, for samplers that take a custom schedule: two formats."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from autosearch.diffusion.schedules import NoiseSchedule, get_schedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe, Step, round_float
from autosearch.recipe.describe import corrector_text, lost_choices, runs_again, step_text
from autosearch.text import write_text

__all__ = ["sigmas_data", "write_sigma_text", "write_sigmas"]

# Families of models whose pipelines take sigma itself, with alpha = 1 - sigma.
_FLOW = "flow"


def sigmas_data(recipe: Recipe) -> tuple[dict[str, Any], list[str]]:
    """The schedule of a recipe, and what of the recipe it leaves out.

    Returns:
        ``sigmas`` (K + 1 values: one for each step, then the end's, 0 for the clean end),
        ``timesteps`` (K values, what the network is given), ``start_scale`` (the standard
        deviation of the start in the model's own scaling), ``scaling``, ``solver`` (K texts, what
        each step does) and ``note``. Sigmas are in
        the scaling of Karras et al. 2022 (alpha = 1), ``sigma / alpha``; for flow models, where
        that is infinite at the start and pipelines take sigma itself, ``sigma``.

    Raises:
        UserError: for a recipe that asks the network twice at a level by steps of their own.
    """
    schedule = get_schedule(recipe.model.family, recipe.model.schedule)
    # Half log-SNRs, log(alpha / sigma).
    log_snrs = [
        schedule.log_snr(step.time) if step.log_snr is None else step.log_snr
        for step in recipe.steps
    ]
    for i, (one, other) in enumerate(pairwise(log_snrs)):
        if one == other:
            raise UserError(
                f"--format sigmas: steps {i + 1} and {i + 2} are both at time "
                f"{recipe.steps[i].time:g}, which a list of sigmas cannot say; use json or "
                "diffusers"
            )
    ends = [*log_snrs, math.inf if recipe.end == "clean" else float(recipe.end)]
    flow = schedule.family == _FLOW
    lost = lost_choices(recipe.steps, flow=flow)
    data = {
        "sigmas": [round_float(_sigma(schedule, log_snr)) for log_snr in ends],
        "timesteps": [step.time for step in recipe.steps],
        "start_scale": _start_scale(recipe, schedule, log_snrs[0]),
        "scaling": "sigma, where alpha = 1 - sigma" if flow else "sigma / alpha",
        "solver": [step_text(step) for step in recipe.steps],
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


def write_sigma_text(recipe: Recipe, path: Path) -> Sequence[str]:
    """Write K + 1 sigmas with commas between them, the last one the end's.

    They are ``sigma / alpha``, and ``sigma`` for flow models, as node editors with a field for
    them take them. The result says what sigmas alone cannot express.
    """
    data, lost = sigmas_data(recipe)
    write_text(path, ", ".join(f"{sigma:.9g}" for sigma in data["sigmas"]) + "\n")
    return [f"sigmas alone do not carry this recipe's {', '.join(lost)}"] if lost else ()


def _sigma(schedule: NoiseSchedule, log_snr: float) -> float:
    if schedule.family == _FLOW:
        return schedule.alpha_sigma(log_snr)[1]
    return math.exp(-log_snr)


def _start_scale(recipe: Recipe, schedule: NoiseSchedule, log_snr: float) -> float:
    alpha, sigma = schedule.alpha_sigma(log_snr)
    scales = {"unit": 1.0, "sigma": sigma, "scheduler": math.hypot(alpha, sigma)}
    return round_float(scales[recipe.start.scale])


def _note(steps: Sequence[Step], lost: Sequence[str]) -> str:
    orders = " ".join(str(step.order) for step in steps)
    kinds = sorted({f"{step.prediction} {step.form}" for step in steps if step.order > 1})
    text = f"orders by step: {orders}"
    if kinds:
        text += f"; above order 1: {', '.join(kinds)}"
    if runs_again(steps):
        text += "; singlestep: each run starts again from its first state"
    correctors = sorted({corrector_text(step.corrector) for step in steps} - {""})
    if correctors:
        text += f"; after a step: {', '.join(correctors)}"
    if lost:
        text += f"; not in the sigmas: {', '.join(lost)}"
    return text
