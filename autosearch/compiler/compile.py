"""The compiler's one function."""

import math
from collections.abc import Sequence

from autosearch.compiler.guidance import classifier_terms
from autosearch.compiler.intervals import with_intervals
from autosearch.compiler.reach import saved
from autosearch.compiler.sites import Combination, compile_branches
from autosearch.compiler.solver import compile_updates
from autosearch.compiler.times import checked_log_snrs, checked_times
from autosearch.diffusion.classifier import GRADIENT_COST
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites import SiteTable, feature_site
from autosearch.errors import UserError
from autosearch.plan import (
    Plan,
    StepPlan,
    check_compatible,
    evaluations,
    kept_features,
    model_key,
)
from autosearch.recipe import Recipe, Step, round_float

__all__ = ["compile_recipe"]


def compile_recipe(recipe: Recipe, denoiser: Denoiser) -> Plan:
    """The plan of a recipe on a denoiser.

    Removed as inert: order beyond the history, solver choices at order 1, eta on a step to the
    clean end, a corrector on the last step, site actions inside a site that is not computed, reuse
    where nothing is stored, gates that cannot decide, rectification where all is computed,
    clipping where the network is not asked.

    Raises:
        UserError: for another kind of model, times that do not decrease, times outside the
            model's range, sites that it lacks, or an analytic first step that is impossible.
    """
    check_compatible(recipe, denoiser)
    recipe = with_intervals(recipe, denoiser.schedule)
    times = checked_times(recipe, denoiser.schedule)
    log_snrs = checked_log_snrs(recipe, times, denoiser.schedule)
    _check_evaluations(recipe, denoiser)
    if (
        math.isinf(log_snrs[0])
        and denoiser.prediction == "noise"
        and recipe.steps[0].evaluate == "network"
    ):
        raise UserError(
            f"recipe: steps[0].time {times[0]:g} is pure noise, where a noise prediction says "
            "nothing of the data; start a little lower"
        )
    sites = SiteTable(denoiser.sites)
    runs = [
        # What stays of the noise at the clean end is nothing.
        run if math.isfinite(end) else run.without_renoise()
        for run, end in zip(compile_branches(recipe, denoiser, sites), log_snrs[1:], strict=True)
    ]
    terms = [
        classifier_terms(step.guidance, denoiser, where=f"recipe: steps[{i}]")
        for i, step in enumerate(recipe.steps)
    ]
    updates = compile_updates(recipe.steps, log_snrs)
    steps = tuple(
        StepPlan(
            time=times[i],
            log_snr=log_snrs[i],
            next_log_snr=log_snrs[i + 1],
            update=updates[i][0],
            corrector=updates[i][1],
            evaluate=step.evaluate,
            eta=step.eta if math.isfinite(log_snrs[i + 1]) else 0.0,
            clip=step.clip if step.evaluate == "network" else None,
            branches=runs[i].branches,
            weights=runs[i].weights,
            renoise=runs[i].renoise,
            classifier=terms[i] if step.evaluate == "network" else (),
            rectify=_rectification(step, runs[i]),
        )
        for i, step in enumerate(recipe.steps)
    )
    counts = evaluations(steps)
    return Plan(
        model=model_key(denoiser),
        start_scale=_start_scale(recipe, log_snrs[0], denoiser.schedule),
        steps=steps,
        macs=sum(
            count * (denoiser.macs - saved(branch.actions, sites))
            for count, step in zip(counts, steps, strict=True)
            for branch in step.branches
        )
        + _classifier_macs(steps, counts, denoiser),
        full_macs=denoiser.macs,
        memory=_declared_memory(steps, denoiser, sites),
        artifacts=tuple(sorted(recipe.artifacts.items())),
    )


def _classifier_macs(steps: Sequence[StepPlan], counts: Sequence[int], denoiser: Denoiser) -> int:
    """Multiply-accumulates of the classifier's passes forwards and back."""
    if denoiser.classifier is None:
        return 0
    gradients = sum(n for n, step in zip(counts, steps, strict=True) if step.classifier)
    return gradients * GRADIENT_COST * denoiser.classifier.macs


def _check_evaluations(recipe: Recipe, denoiser: Denoiser) -> None:
    for i, step in enumerate(recipe.steps):
        if step.evaluate == "network":
            continue
        if i:
            raise UserError(
                f"recipe: steps[{i}].evaluate is {step.evaluate!r}; only the first step can do "
                "without the network"
            )
        if len(recipe.steps) == 1:
            raise UserError(
                "recipe: its only step does not evaluate the network; set evaluate to 'network'"
            )
        if step.evaluate == "average_x0" and denoiser.data_mean is None:
            raise UserError(
                "recipe: steps[0].evaluate is 'average_x0', but this model knows no mean of its "
                "data; use 'zero_x0'"
            )


def _start_scale(recipe: Recipe, log_snr: float, schedule: NoiseSchedule) -> float:
    alpha, sigma = schedule.alpha_sigma(log_snr)
    scales = {"unit": 1.0, "sigma": sigma, "scheduler": math.hypot(alpha, sigma)}
    return round_float(scales[recipe.start.scale])


def _rectification(step: Step, run: Combination) -> tuple[float, float] | None:
    """The line that corrects a step which leaves something out; None for the identity."""
    if step.rectify is None or not any(branch.sites for branch in run.branches):
        return None
    factor, offset = step.rectify
    return None if (factor, offset) == (1, 0) else (factor, offset)


def _declared_memory(steps: tuple[StepPlan, ...], denoiser: Denoiser, sites: SiteTable) -> int:
    """Bytes for one sample: states, predictions and stored features at their largest."""
    keep = kept_features(steps)
    names = {branch.name for step in steps for branch in step.branches}
    elements = (sites[feature_site(name)].elements * count for name, count in keep.items())
    features = sum(elements) * len(names)
    # The state; data and noise of each evaluation; earlier states, where a step goes back to one.
    history = 1 + 2 * max(_evaluations_held(step) for step in steps)
    history += max(_states_back(step) for step in steps)
    return denoiser.dtype.itemsize * (features + history * math.prod(denoiser.sample_shape))


def _evaluations_held(step: StepPlan) -> int:
    held = -min(step.update.used)
    # A corrector has the evaluation at the step's end, index 0, besides.
    return max(held, 1 - min(step.corrector.update.used)) if step.corrector else held


def _states_back(step: StepPlan) -> int:
    back = -step.update.start - 1
    return max(back, -step.corrector.update.start) if step.corrector else back
