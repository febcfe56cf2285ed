"""A recipe compiled for one denoiser: what will really be executed.

Everything inert is removed, so that two recipes that sample alike have equal plans. The hash of
the plan is a candidate's identity.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites import Action, Site
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import ModelKey, Recipe, Step, parse_action, round_float

__all__ = ["Plan", "StepPlan", "check_compatible", "compile_recipe", "model_key"]


@dataclass(frozen=True)
class StepPlan:
    """One step, self-contained: nothing outside it says what it does.

    ``log_snr`` and ``next_log_snr`` may be infinite. ``sites`` lists what is not computed.
    """

    time: float
    log_snr: float
    next_log_snr: float
    order: int = 1
    prediction: Literal["noise", "data"] = "data"
    form: str = "dpmsolver"
    eta: float = 0.0
    clip: float | None = None
    sites: tuple[tuple[str, Action], ...] = ()

    @property
    def actions(self) -> dict[str, Action]:
        """The site actions as a mapping."""
        return dict(self.sites)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; log-SNRs of nine digits as in recipes, infinities as text."""
        data: dict[str, Any] = {
            "time": self.time,
            "log_snr": _plain(self.log_snr),
            "next_log_snr": _plain(self.next_log_snr),
            "order": self.order,
            "prediction": self.prediction,
            "form": self.form,
            "eta": self.eta,
            "clip": self.clip,
            "sites": {name: str(action) for name, action in self.sites},
        }
        return data


@dataclass(frozen=True)
class Plan:
    """What the sampler runs. Costs are for one sample."""

    model: ModelKey
    start_scale: float
    steps: tuple[StepPlan, ...]
    macs: int
    full_macs: int
    memory: int
    branches: tuple[str, ...] = ("cond",)

    @property
    def nfe(self) -> int:
        """Network evaluations."""
        return len(self.steps)

    @property
    def forwards(self) -> int:
        """Branches run, summed over the steps."""
        return self.nfe * len(self.branches)

    @property
    def forward_equivalents(self) -> float:
        """Multiply-accumulates over those of one full forward."""
        return self.macs / self.full_macs

    @property
    def stochastic(self) -> bool:
        """Whether any step adds noise."""
        return any(step.eta > 0 for step in self.steps)

    @cached_property
    def keep(self) -> dict[str, int]:
        """How many computed features each reused or forecast site must hold."""
        return _kept_features(self.steps)

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides the samples, and of nothing else."""
        data = {
            "model": [self.model.family, self.model.schedule, self.model.prediction],
            "start_scale": self.start_scale,
            "branches": list(self.branches),
            "steps": [step.to_dict() for step in self.steps],
        }
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def model_key(denoiser: Denoiser) -> ModelKey:
    """The compatibility key of a denoiser, as recipes carry it."""
    schedule = denoiser.schedule
    return ModelKey(
        family=schedule.family,
        schedule=schedule.name,
        prediction=denoiser.prediction,
        weights=denoiser.weights,
    )


def check_compatible(recipe: Recipe, denoiser: Denoiser) -> bool:
    """Whether the weights are those that the recipe names (or it names none).

    Raises:
        UserError: when family, schedule or prediction differ.
    """
    key = model_key(denoiser)
    for name in ("family", "schedule", "prediction"):
        wanted, given = getattr(recipe.model, name), getattr(key, name)
        if wanted != given:
            raise UserError(
                f"recipe: model.{name} is {wanted!r} but this model's is {given!r}; "
                "use a recipe searched on a model of the same kind"
            )
    return recipe.model.weights in (None, key.weights)


def compile_recipe(recipe: Recipe, denoiser: Denoiser) -> Plan:
    """The plan of a recipe on a denoiser.

    Removed as inert: order beyond the history, solver choices at order 1, eta on a step to the
    clean end, site actions inside a site that is not computed, reuse where nothing is stored.

    Raises:
        UserError: for another kind of model, times that do not decrease, times outside the
            model's range, or sites that it lacks.
    """
    check_compatible(recipe, denoiser)
    times = _checked_times(recipe, denoiser.schedule)
    log_snrs = _checked_log_snrs(recipe, times, denoiser.schedule)
    if math.isinf(log_snrs[0]) and denoiser.prediction == "noise":
        raise UserError(
            f"recipe: steps[0].time {times[0]:g} is pure noise, where a noise prediction says "
            "nothing of the data; start a little lower"
        )
    actions = _compile_sites(recipe.steps, denoiser.sites)
    orders = _effective_orders(recipe.steps, log_snrs)
    steps = tuple(
        _compile_step(step, time, (log_snrs[i], log_snrs[i + 1]), order=order, sites=sites)
        for i, (step, time, order, sites) in enumerate(
            zip(recipe.steps, times, orders, actions, strict=True)
        )
    )
    return Plan(
        model=model_key(denoiser),
        start_scale=_start_scale(recipe, log_snrs[0], denoiser.schedule),
        steps=steps,
        macs=sum(denoiser.macs - _saved(step.actions, denoiser.sites) for step in steps),
        full_macs=denoiser.macs,
        memory=_declared_memory(steps, denoiser),
    )


def _checked_times(recipe: Recipe, schedule: NoiseSchedule) -> list[float]:
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


def _checked_log_snrs(
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


def _effective_orders(steps: Sequence[Step], log_snrs: Sequence[float]) -> list[int]:
    """Orders cut to the history: a step that touches an infinite log-SNR is of order 1."""
    orders, finite_history = [], 0
    for i, step in enumerate(steps):
        finite_history += math.isfinite(log_snrs[i])
        ends = math.isinf(log_snrs[i]) or math.isinf(log_snrs[i + 1])
        orders.append(1 if ends else min(step.order, finite_history))
    return orders


def _compile_step(
    step: Step,
    time: float,
    interval: tuple[float, float],
    *,
    order: int,
    sites: Mapping[str, Action],
) -> StepPlan:
    log_snr, next_log_snr = interval
    # At order 1 every form is DDIM, whatever it predicts.
    return StepPlan(
        time=time,
        log_snr=log_snr,
        next_log_snr=next_log_snr,
        order=order,
        prediction=step.prediction if order > 1 else "data",
        form=step.form if order > 1 else "dpmsolver",
        eta=step.eta if math.isfinite(next_log_snr) else 0.0,
        clip=step.clip,
        sites=tuple(sorted(sites.items())),
    )


def _start_scale(recipe: Recipe, log_snr: float, schedule: NoiseSchedule) -> float:
    alpha, sigma = schedule.alpha_sigma(log_snr)
    scales = {"unit": 1.0, "sigma": sigma, "scheduler": math.hypot(alpha, sigma)}
    return round_float(scales[recipe.start.scale])


def _compile_sites(steps: Sequence[Step], sites: Sequence[Site]) -> list[dict[str, Action]]:
    by_name = {site.name: site for site in sites}
    stored = dict.fromkeys(by_name, 0)
    result = []
    for i, step in enumerate(steps):
        for name in step.sites:
            if name not in by_name:
                raise unknown_name("site", name, by_name, where=f"recipe: steps[{i}].sites")
        actions: dict[str, Action] = {}
        for site in sites:  # parents come before children
            if _inside_uncomputed(site, by_name, actions):
                continue
            action = _reachable(step.sites.get(site.name), stored[site.name])
            if action is None:
                stored[site.name] += 1
            else:
                actions[site.name] = action
        result.append(actions)
    return result


def _inside_uncomputed(
    site: Site, by_name: Mapping[str, Site], actions: Mapping[str, Action]
) -> bool:
    parent = site.parent
    while parent is not None:
        if parent in actions:
            return True
        parent = by_name[parent].parent
    return False


def _reachable(text: str | None, stored: int) -> Action | None:
    """The action that can be done with what is stored; None computes."""
    if text is None:
        return None
    action = parse_action(text)
    if action.kind == "skip":
        return action
    if stored == 0:
        return None
    order = min(action.order, stored - 1)
    return Action("forecast", order) if order else Action("reuse")


def _saved(actions: Mapping[str, Action], sites: Sequence[Site]) -> int:
    """Multiply-accumulates that the actions of one step avoid; they never nest."""
    return sum(site.macs for site in sites if site.name in actions)


def _kept_features(steps: Sequence[StepPlan]) -> dict[str, int]:
    keep: dict[str, int] = {}
    for step in steps:
        for name, action in step.sites:
            if action.kind != "skip":
                keep[name] = max(keep.get(name, 0), action.order + 1)
    return keep


def _declared_memory(steps: Sequence[StepPlan], denoiser: Denoiser) -> int:
    """Bytes for one sample: solver history and stored features at their largest."""
    keep = _kept_features(steps)
    features = sum(site.elements * keep.get(site.name, 0) for site in denoiser.sites)
    history = 1 + 2 * max(step.order for step in steps)  # the state; data and noise per point
    itemsize = denoiser.dtype.itemsize
    return itemsize * (features + history * math.prod(denoiser.sample_shape))


def _plain(value: float) -> float | str:
    return round_float(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
