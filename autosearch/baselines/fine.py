"""The fine recipes of a model, which stand for its truth: one place for all who measure against it.

The reference and the teacher are named ones, sampled each on a stream of noise of its own. Fits
need a fine trajectory that passes where their recipe does, guided and clipped as it is, on the
stream of calibrations: DDIM's, or the teacher's solver's.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

from autosearch.baselines.names import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe, Step

__all__ = ["REFERENCES", "TEACHER", "fine_ddim", "fine_dpmpp", "plain_step", "with_plain_steps"]

# The reference of a model is the better of the two (unguided), where none is shipped with it.
REFERENCES = ("ddim@100", "dpmpp_2m@100")
TEACHER = REFERENCES[1]

# Half log-SNRs this near to one another are one.
_SAME = 1e-9

# The grid of a fine trajectory over a family's whole range.
_GRIDS = {"vp": "linspace", "edm": "edm", "flow": "flow"}


def plain_step(step: Step, time: float, log_snr: float | None, order: int = 1) -> Step:
    """A step of DPM-Solver++ at another time, guided and clipped as one of a recipe is.

    What a step leaves out of the network, how it corrects and what it evaluates are not taken over.
    """
    return Step(time=time, log_snr=log_snr, order=order, guidance=step.guidance, clip=step.clip)


def with_plain_steps(recipe: Recipe, steps: Sequence[Step], **fields: object) -> Recipe:
    """A recipe with plain steps in place of its own; with the whole network, as loaded."""
    plain: dict[str, object] = {"steps": list(steps), "pruned": [], "artifacts": {}}
    return recipe.model_copy(update={**plain, **fields})


def fine_ddim(recipe: Recipe, denoiser: Denoiser, *, steps: int) -> Recipe:
    """DDIM over the model's whole range, from a recipe's start to its end.

    Each of its steps is guided and clipped as the recipe's step is that covers its time.

    Raises:
        UserError: for fewer fine steps than the recipe has.
    """
    schedule = denoiser.schedule
    fine = baseline(f"ddim-{_GRIDS[schedule.family]}@{steps}", denoiser)
    end = math.inf if recipe.end == "clean" else float(recipe.end)
    kept = [step for step in fine.steps if schedule.log_snr(step.time) < end]
    if len(kept) < len(recipe.steps):
        raise UserError(
            f"the fine trajectory has {len(kept)} steps, and the recipe {len(recipe.steps)}; "
            "use more fine ones"
        )
    covering = [
        next((step for step in reversed(recipe.steps) if step.time >= at.time), recipe.steps[0])
        for at in kept
    ]
    return with_plain_steps(
        recipe,
        [plain_step(own, at.time, at.log_snr) for own, at in zip(covering, kept, strict=True)],
    )


def fine_dpmpp(recipe: Recipe, denoiser: Denoiser, *, steps: int) -> tuple[Recipe, list[int]]:
    """DPM-Solver++(2M) of about so many steps, a recipe's times among them.

    Returns:
        The fine recipe, and how many of its steps come before each of the recipe's, and in all.
    """
    plan, schedule = compile_recipe(recipe, denoiser), denoiser.schedule
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
    return with_plain_steps(recipe, fine), counts


def _between(
    here: tuple[float, float], there: tuple[float, float], many: int, schedule: NoiseSchedule
) -> list[tuple[float, float | None]]:
    """Points from one on, the other left out; even in half log-SNR, or in time."""
    (time, log_snr), (end, next_log_snr) = here, there
    own = log_snr if math.isfinite(log_snr) else None
    # The last step of a grid that reaches the model's last time, up to rounding.
    if end >= time or schedule.log_snr(end) - schedule.log_snr(time) < _SAME:
        return [(time, own)]
    shares = [i / many for i in range(1, many)]
    if math.isfinite(next_log_snr - log_snr):
        inner = [schedule.time(log_snr + share * (next_log_snr - log_snr)) for share in shares]
    else:
        inner = [time + share * (end - time) for share in shares]
    return [(time, own), *((value, None) for value in inner)]
