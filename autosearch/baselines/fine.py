"""The fine recipes of a model, which stand for its truth: one place for all who measure against it.

The reference is a named one. The teacher, which candidates of a search are held against sample by
sample, is as exact as its number of steps allows: see :func:`teacher`. Fits need a fine trajectory
that passes where their recipe does, guided and clipped as it is, on the stream of calibrations:
DDIM's, or DPM-Solver++'s.
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

__all__ = [
    "REFERENCES",
    "fine_count",
    "fine_dpmpp",
    "fine_range",
    "plain_step",
    "teacher",
    "teacher_name",
    "with_plain_steps",
]

# The reference of a model is the better of the two (unguided), where none is shipped with it.
REFERENCES = ("ddim@100", "dpmpp_2m@100")

# Of the bundled solvers the one with the smallest error at 50 to 200 steps on linear, scaled and
# cosine betas, EDM and flows (`python -m autosearch.experiments.benchmarks teachers`).
_TEACHER = "unipc_3-logsnr"
# Where the half log-SNR begins at minus infinity: so far from there, as a share of the time range,
# are the first finite ones.
_BESIDE = 1e-3

# Half log-SNRs this near to one another are one.
_SAME = 1e-9

# The grid of a fine trajectory over a family's whole range.
_GRIDS = {"vp": "linspace", "edm": "edm", "flow": "flow"}


def teacher_name(steps: int) -> str:
    """How a teacher of so many steps is called."""
    return f"teacher@{steps}"


def teacher(denoiser: Denoiser, steps: int) -> Recipe:
    """UniPC of order 3 through even half log-SNRs over the model's range, both ends included.

    Grids of publications leave the last level out, and their last step, which is of order 1, keeps
    an error of that order. From pure noise, where the half log-SNR is infinite, the first step
    leads just beside it, and is no history for the others.

    Args:
        denoiser: the model; guided as its baselines are.
        steps: at least 4.
    """
    schedule = denoiser.schedule
    recipe = baseline(f"{_TEACHER}@{steps}", denoiser)
    low, last = schedule.log_snr(schedule.first), schedule.log_snr(schedule.last)
    times = [schedule.first]
    if not math.isfinite(low):
        beside = schedule.first - _BESIDE * (schedule.first - schedule.last)
        low = schedule.log_snr(beside)
        # A noise prediction says nothing of the data at pure noise.
        times = [beside] if denoiser.prediction == "noise" else [schedule.first, beside]
    before = len(times) - 1
    gap = (last - low) / (steps - before - 1)
    times += [schedule.time(low + gap * i) for i in range(1, steps - before - 1)]
    changes = [
        {"time": time, "log_snr": None, "order": min(step.order, max(i + 1 - before, 1))}
        for i, (step, time) in enumerate(zip(recipe.steps, [*times, schedule.last], strict=True))
    ]
    changed = [
        step.model_copy(update=change) for step, change in zip(recipe.steps, changes, strict=True)
    ]
    return recipe.model_copy(update={"steps": changed, "end": "clean"})


def plain_step(step: Step, time: float, log_snr: float | None, order: int = 1) -> Step:
    """A step of DPM-Solver++ at another time, guided and clipped as one of a recipe is.

    What a step leaves out of the network, how it corrects and what it evaluates are not taken over.
    """
    return Step(time=time, log_snr=log_snr, order=order, guidance=step.guidance, clip=step.clip)


def with_plain_steps(recipe: Recipe, steps: Sequence[Step], **fields: object) -> Recipe:
    """A recipe with plain steps in place of its own; with the whole network, as loaded."""
    plain: dict[str, object] = {"steps": list(steps), "pruned": [], "artifacts": {}}
    return recipe.model_copy(update={**plain, **fields})


def fine_range(recipe: Recipe, denoiser: Denoiser, *, steps: int, order: int = 1) -> Recipe:
    """DPM-Solver++ over the model's whole range, from a recipe's start to its end.

    Each of its steps is guided and clipped as the recipe's step is that covers its time.

    Args:
        recipe: what is fitted.
        denoiser: the model.
        steps: how many fine steps; fewer where the recipe ends before the clean end.
        order: of all steps but the last, as far as the history allows; 1 is DDIM.

    Raises:
        UserError: for fewer fine steps than the recipe has.
    """
    kept = _steps_before_end(recipe, denoiser, steps)
    if len(kept) < len(recipe.steps):
        raise UserError(
            f"the fine trajectory has {len(kept)} steps, and the recipe {len(recipe.steps)}; "
            "use more fine ones"
        )
    covering = [
        next((step for step in reversed(recipe.steps) if step.time >= at.time), recipe.steps[0])
        for at in kept
    ]
    orders = [order] * (len(kept) - 1) + [1]
    return with_plain_steps(
        recipe,
        [
            plain_step(own, at.time, at.log_snr, order=used)
            for own, at, used in zip(covering, kept, orders, strict=True)
        ],
    )


def fine_count(recipe: Recipe, denoiser: Denoiser, *, steps: int) -> int:
    """How many of so many fine steps :func:`fine_range` runs: those before the recipe's end."""
    return len(_steps_before_end(recipe, denoiser, steps))


def _steps_before_end(recipe: Recipe, denoiser: Denoiser, steps: int) -> list[Step]:
    """Of so many fine steps over the model's whole range those that start before a recipe ends."""
    schedule = denoiser.schedule
    fine = baseline(f"ddim-{_GRIDS[schedule.family]}@{steps}", denoiser)
    end = math.inf if recipe.end == "clean" else float(recipe.end)
    return [step for step in fine.steps if schedule.log_snr(step.time) < end]


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
    if not math.isfinite(next_log_snr - log_snr):
        return [(time, own), *((time + share * (end - time), None) for share in shares)]
    points = [(time, own)]
    for share in shares:
        level = log_snr + share * (next_log_snr - log_snr)
        exact = schedule.time(level)
        # A recipe whose times are rounded has levels that belong to times beyond its own.
        inner = min(max(exact, end), time)
        points.append((inner, None if inner == exact else level))
    return points
