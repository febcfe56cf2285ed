"""Fine trajectories of a model, which recipes of few steps are fitted to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers import Evaluation
from autosearch.errors import UserError
from autosearch.recipe import Recipe, Step

__all__ = ["Trajectory", "fine_states", "mean_square", "plain_step", "record_trajectory"]

# The grid of a fine trajectory over a family's whole range.
_GRIDS = {"vp": "linspace", "edm": "edm", "flow": "flow"}


@dataclass(frozen=True)
class Trajectory:
    """A recorded trajectory: its states, their times and the predictions there.

    Attributes:
        recipe: what was run, with every time spelled out.
        log_snrs: half log-SNR, log(alpha/sigma), of the states, one more than there are steps.
        states: [N, *sample_shape] each, the start first.
        evaluations: the network's predictions at each but the last.
    """

    recipe: Recipe
    log_snrs: Sequence[float]
    states: Sequence[Tensor]
    evaluations: Sequence[Evaluation]


def plain_step(step: Step, time: float, log_snr: float | None, order: int = 1) -> Step:
    """A step of DPM-Solver++ at another time, guided and clipped as one of a recipe is.

    What a step leaves out of the network, how it corrects and what it evaluates are not taken over.
    """
    return Step(time=time, log_snr=log_snr, order=order, guidance=step.guidance, clip=step.clip)


def record_trajectory(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int
) -> Trajectory:
    """A DDIM trajectory over the model's whole range from the recipe's start to its end.

    Each of its steps is guided and clipped as the recipe's step is that covers its time.

    Raises:
        UserError: for fewer fine steps than the recipe has.
    """
    name = f"ddim-{_GRIDS[calibrator.denoiser.schedule.family]}@{steps}"
    fine = baseline(name, calibrator.denoiser)
    end = math.inf if recipe.end == "clean" else float(recipe.end)
    kept = [step for step in fine.steps if calibrator.denoiser.schedule.log_snr(step.time) < end]
    if len(kept) < len(recipe.steps):
        raise UserError(
            f"the fine trajectory has {len(kept)} steps, and the recipe {len(recipe.steps)}; "
            "use more fine ones"
        )
    changed = [plain_step(_covering(recipe, step.time), step.time, step.log_snr) for step in kept]
    change: dict[str, object] = {
        "steps": changed,
        "end": recipe.end,
        "start": recipe.start,
        "artifacts": {},
    }
    whole = recipe.model_copy(update={**change, "pruned": []})
    states = calibrator.states(whole, samples)
    evaluations = [state.evaluation for state in states[1:] if state.evaluation is not None]
    return Trajectory(
        whole, [state.log_snr for state in states], [state.x for state in states], evaluations
    )


def fine_states(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int
) -> list[Tensor]:
    """States [N, *sample_shape] of a fine trajectory at the start of each step, and at the end.

    DPM-Solver++(2M) of about so many steps, the recipe's times among them.
    """
    plan = calibrator.plan(recipe)
    schedule = calibrator.denoiser.schedule
    last = plan.steps[-1].next_log_snr
    points = [(step.time, step.log_snr) for step in plan.steps]
    points.append((schedule.last if math.isinf(last) else schedule.time(last), last))
    many = max(round(steps / len(plan.steps)), 1)
    fine: list[Step] = []
    counts = [0]
    for step, (here, there) in zip(recipe.steps, pairwise(points), strict=True):
        for time, log_snr in _between(here, there, many, schedule):
            fine.append(plain_step(step, time, log_snr, order=2))
        counts.append(len(fine))
    fine[-1] = fine[-1].model_copy(update={"order": 1})
    whole = recipe.model_copy(update={"steps": fine, "pruned": [], "artifacts": {}})
    states = calibrator.states(whole, samples)
    return [states[count].x for count in counts]


def _between(
    here: tuple[float, float], there: tuple[float, float], many: int, schedule: NoiseSchedule
) -> list[tuple[float, float | None]]:
    """Points from one on, the other left out; even in half log-SNR, or in time."""
    (time, log_snr), (end, next_log_snr) = here, there
    own = log_snr if math.isfinite(log_snr) else None
    if end >= time:  # the last step of a grid that reaches the model's last time
        return [(time, own)]
    shares = [i / many for i in range(1, many)]
    if math.isfinite(next_log_snr - log_snr):
        inner = [schedule.time(log_snr + share * (next_log_snr - log_snr)) for share in shares]
    else:
        inner = [time + share * (end - time) for share in shares]
    return [(time, own), *((value, None) for value in inner)]


def _covering(recipe: Recipe, time: float) -> Step:
    return next((step for step in reversed(recipe.steps) if step.time >= time), recipe.steps[0])


def mean_square(a: Tensor, b: Tensor) -> float:
    """The mean square of the difference of two equal shapes, in double precision."""
    return float(torch.mean((a.double() - b.double()) ** 2))
