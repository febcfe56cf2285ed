"""The compiler's entry point."""

import math
from collections.abc import Sequence

from autosearch.diffusion.classifier import GRADIENT_COST
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.compensation import compensation
from autosearch.diffusion.plan.guidance import classifier_terms
from autosearch.diffusion.plan.plan import (
    Plan,
    StepPlan,
    calls,
    check_compatible,
    kept_features,
    model_key,
)
from autosearch.diffusion.plan.reachability import branch_macs
from autosearch.diffusion.plan.recovery import compile_training
from autosearch.diffusion.plan.sites import compile_branches
from autosearch.diffusion.plan.solver import compile_updates, looks_back_at_start
from autosearch.diffusion.plan.times import checked_log_snrs, checked_times, with_intervals
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.diffusion.solvers import FORMS, find_form
from autosearch.errors import UserError
from autosearch.recipe import Artifact, Recipe, round_float
from autosearch.recipe.actions import feature_site

__all__ = ["compile_recipe"]


def compile_recipe(recipe: Recipe, denoiser: Denoiser) -> Plan:
    """The plan of a recipe on a denoiser.

    Removed as inert: order beyond the history, solver choices at order 1, eta on a step to the
    clean end, a corrector on the last step, site actions inside a site that is not computed, reuse
    where nothing is stored, gates that cannot decide, rectification where all is computed,
    clipping where the network is not asked.

    Raises:
        UserError: for another kind of model, times that grow, times outside the model's range,
            steps that go nowhere, sites that it lacks, or an analytic first step that is
            impossible.
    """
    check_compatible(recipe, denoiser)
    recipe = with_intervals(recipe, denoiser.schedule)
    times = checked_times(recipe, denoiser.schedule)
    log_snrs = checked_log_snrs(recipe, times, denoiser.schedule)
    _check_evaluations(recipe, denoiser)
    _check_start(recipe, log_snrs[0], denoiser)
    sites = SiteTable(denoiser.sites)
    steps = _steps(recipe, times, log_snrs, denoiser, sites)
    return Plan(
        model=model_key(denoiser),
        start_scale=_start_scale(recipe, log_snrs[0], denoiser.schedule),
        steps=steps,
        macs=_macs(steps, denoiser, sites),
        full_macs=denoiser.macs,
        memory=_declared_memory(steps, denoiser, sites),
        artifacts=_artifacts(recipe, steps),
        training=compile_training(recipe, denoiser, sites),
    )


def _steps(
    recipe: Recipe,
    times: Sequence[float],
    log_snrs: Sequence[float],
    denoiser: Denoiser,
    sites: SiteTable,
) -> tuple[StepPlan, ...]:
    runs = [
        # What stays of the noise at the clean end is nothing.
        run if math.isfinite(end) else run.without_renoise()
        for run, end in zip(compile_branches(recipe, denoiser, sites), log_snrs[1:], strict=True)
    ]
    updates = compile_updates(recipe.steps, log_snrs)
    if looks_back_at_start(updates):
        log_snrs = _finite_start(log_snrs, denoiser.schedule)
    steps = []
    for i, step in enumerate(recipe.steps):
        asks = step.evaluate == "network"
        terms = classifier_terms(step.guidance, denoiser, where=f"recipe: steps[{i}]")
        leaves_out = any(branch.sites for branch in runs[i].branches)
        plan = StepPlan(
            time=times[i],
            log_snr=log_snrs[i],
            next_log_snr=log_snrs[i + 1],
            update=updates[i][0],
            corrector=updates[i][1],
            evaluate=step.evaluate,
            eta=step.eta if math.isfinite(log_snrs[i + 1]) else 0.0,
            clip=step.clip if asks else None,
            branches=runs[i].branches,
            weights=runs[i].weights,
            renoise=runs[i].renoise,
            classifier=terms if asks else (),
            rectify=_factors(step.rectify, (1, 0)) if leaves_out else None,
            scaling=_factors(step.scaling, (1, 1)) if asks else None,
            compensation=compensation(recipe.steps, times, i),
        )
        steps.append(plan)
    return tuple(steps)


def _finite_start(log_snrs: Sequence[float], schedule: NoiseSchedule) -> Sequence[float]:
    """The levels with a finite one for pure noise, which no step after the first comes near."""
    first, second, *rest = log_snrs
    if math.isfinite(first):
        return log_snrs
    return [min(schedule.pure_noise, second - 1.0), second, *rest]


def _artifacts(recipe: Recipe, steps: Sequence[StepPlan]) -> tuple[tuple[str, Artifact], ...]:
    """The artifacts that the steps need; what was measured for a form is inert without it."""
    updates = [step.update for step in steps] + [s.corrector.update for s in steps if s.corrector]
    used = {update.form for update in updates}
    inert = set[str]()
    for name in dict.fromkeys((*FORMS.own, *used)):
        form = find_form(name)
        if form.artifact is None:
            continue
        if form.name not in used:
            inert.add(form.artifact)
        elif form.artifact not in recipe.artifacts:
            raise UserError(
                f"recipe: form {form.name!r} needs {form.needs}, and artifacts has no "
                f"{form.artifact!r}; {form.measured_by}"
            )
    kept = {name: one for name, one in recipe.artifacts.items() if name not in inert}
    return tuple(sorted(kept.items()))


def _macs(steps: Sequence[StepPlan], denoiser: Denoiser, sites: SiteTable) -> int:
    """Multiply-accumulates of one sample: the network's, and the classifier's gradients."""
    network = sum(branch_macs(step.branches, denoiser.macs, sites) for step in calls(steps))
    if denoiser.classifier is None:
        return network
    gradients = sum(bool(step.classifier) for step in calls(steps))
    return network + gradients * GRADIENT_COST * denoiser.classifier.macs


def _check_start(recipe: Recipe, log_snr: float, denoiser: Denoiser) -> None:
    first = recipe.steps[0]
    if math.isinf(log_snr) and denoiser.prediction == "noise" and first.evaluate == "network":
        raise UserError(
            f"recipe: steps[0].time {first.time:g} is pure noise, where a noise prediction says "
            "nothing of the data; start a little lower"
        )


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


def _factors(pair: Sequence[float] | None, neutral: tuple[int, int]) -> tuple[float, float] | None:
    """Two factors of a step; None for those that change nothing."""
    return None if pair is None or tuple(pair) == neutral else (pair[0], pair[1])


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
    held = max(-min(step.update.used), len(step.compensation))
    # A corrector has the evaluation at the step's end, index 0, besides.
    return max(held, 1 - min(step.corrector.update.used)) if step.corrector else held


def _states_back(step: StepPlan) -> int:
    back = -step.update.start - 1
    return max(back, -step.corrector.update.start) if step.corrector else back
