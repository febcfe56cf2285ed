"""Guidance in the sampler, against its formulas written out on pairs of exact models."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.prediction import Prediction, to_data_and_noise
from autosearch.diffusion.sampling.sampler import sample, trajectory
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site
from autosearch.diffusion.solvers import FORMS
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

TIMES = (900.0, 650.0, 300.0, 80.0)
KINDS: list[tuple[NoiseSchedule, Prediction, Sequence[float]]] = [
    (VariancePreserving(), "noise", TIMES),
    (VariancePreserving(), "v", TIMES),
    (EDM(), "data", (70.0, 9.0, 1.2, 0.1)),
    (RectifiedFlow(), "flow", (1.0, 0.7, 0.3, 0.1)),
]
NOISES = torch.randn(30, 5, 3, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
scales = st.floats(-2, 8).map(lambda value: round(value, 3))


class Pair(ExactDenoiser):
    """One mixture with the condition, another without it; counts the branches that it ran."""

    def __init__(
        self, schedule: NoiseSchedule, prediction: Prediction, *, alike: bool = False
    ) -> None:
        one, other = (Mixture.random(components=3, dimension=3, seed=seed) for seed in (1, 2))
        super().__init__(one, schedule, prediction, dtype=torch.float64)
        self.conditions = ("cond", "uncond")
        self.other = ExactDenoiser(
            one if alike else other, schedule, prediction, dtype=torch.float64
        )
        self.ran: list[tuple[str, ...]] = []

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        self.ran.append(tuple(one.name for one in branches))
        return {one.name: self.said(one.condition, x, t) for one in branches}

    def said(self, condition: str, x: Tensor, t: float) -> Tensor:
        if condition == "cond":
            return super().denoise(x, t, None)["cond"]
        return self.other.denoise(x, t, None)["cond"]

    def alone(self, condition: str, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Data and noise of one run."""
        ends = self.schedule.alpha_sigma(self.schedule.log_snr(t))
        data, noise = to_data_and_noise(self.prediction, self.said(condition, x, t), x, *ends)
        assert noise is not None
        return data, noise


def compiled(denoiser: Pair, steps: Sequence[dict[str, Any]], **rest: Any) -> Plan:
    model = model_key(denoiser).model_dump()
    return compile_recipe(
        Recipe.from_dict({"version": 1, "model": model, "steps": steps, **rest}), denoiser
    )


def guided(times: Sequence[float], rule: str, scale: float, **choices: Any) -> list[dict[str, Any]]:
    rules = [{"rule": rule, "scale": scale}]
    return [{"time": time, "guidance": rules, **choices} for time in times]


def levels(denoiser: Pair, times: Sequence[float]) -> list[tuple[float, float]]:
    """Alpha and sigma at each time, and at clean data."""
    schedule = denoiser.schedule
    return [schedule.alpha_sigma(v) for v in (*map(schedule.log_snr, times), math.inf)]


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-8)


# -- classifier-free guidance ----------------------------------------------------------------


@pytest.mark.parametrize(("schedule", "prediction", "times"), KINDS)
@given(scale=scales)
@settings(max_examples=8, deadline=None)
def test_cfg_is_its_formula(
    schedule: NoiseSchedule, prediction: Prediction, times: Sequence[float], scale: float
) -> None:
    denoiser = Pair(schedule, prediction)
    plan = compiled(denoiser, guided(times, "cfg", scale))
    x = plan.start_scale * NOISES[0]
    got = sample(denoiser, plan, NOISES[0], None)
    ends = levels(denoiser, times)
    for time, (alpha, sigma) in zip(times, ends[1:], strict=True):
        (with_it, noise), (without, plain) = (
            denoiser.alone(condition, x, time) for condition in ("cond", "uncond")
        )
        data = without + scale * (with_it - without)
        x = alpha * data + sigma * (plain + scale * (noise - plain))
    close(got, x)


def test_scales_that_change_nothing_cost_nothing() -> None:
    denoiser = Pair(VariancePreserving(), "v")
    plain = compiled(denoiser, [{"time": time} for time in TIMES])
    assert compiled(denoiser, guided(TIMES, "cfg", 1)) == plain
    without = compiled(denoiser, guided(TIMES, "cfg", 0))
    sample(denoiser, without, NOISES[0], None)
    assert denoiser.ran == [("uncond",)] * 4
    assert without.forwards == 4


@given(first=st.integers(0, 5), count=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_outside_the_interval_nothing_is_run(first: int, count: int) -> None:
    denoiser = Pair(VariancePreserving(), "noise")
    inside = range(first, min(first + count, 6))
    steps = [
        {
            "time": 900.0 - 150 * i,
            "corrector": "implicit" if i == 2 else "none",
            "order": 2,
            **({"guidance": {"rule": "cfg", "scale": 3}} if i in inside else {}),
        }
        for i in range(6)
    ]
    plan = compiled(denoiser, steps)
    assert sample(denoiser, plan, NOISES[0], None).isfinite().all()
    # The corrector of step 2 evaluates at the start of step 3 once more.
    asked = [0, 1, 2, 3, 3, 4, 5]
    expected = [("cond", "uncond") if i in inside else ("cond",) for i in asked]
    assert denoiser.ran == expected
    assert plan.nfe == 7
    assert plan.forwards == sum(map(len, expected))
    assert plan.macs == plan.forwards * denoiser.macs


# -- CFG++ -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("schedule", "prediction", "times"), KINDS)
@given(scale=st.floats(0, 1).map(lambda value: round(value, 3)))
@settings(max_examples=8, deadline=None)
def test_cfgpp_is_the_published_step(
    schedule: NoiseSchedule, prediction: Prediction, times: Sequence[float], scale: float
) -> None:
    """Data from the guided noise, and the unconditional noise on it."""
    denoiser = Pair(schedule, prediction)
    plan = compiled(denoiser, guided(times, "cfgpp", scale))
    x = plan.start_scale * NOISES[0]
    got = sample(denoiser, plan, NOISES[0], None)
    for time, (alpha, sigma) in zip(times, levels(denoiser, times)[1:], strict=True):
        (with_it, _), (without, noise) = (
            denoiser.alone(condition, x, time) for condition in ("cond", "uncond")
        )
        x = alpha * (without + scale * (with_it - without)) + sigma * noise
    close(got, x)


def test_cfgpp_at_scale_0_is_unconditional() -> None:
    denoiser = Pair(VariancePreserving(), "noise")
    plan = compiled(denoiser, guided(TIMES, "cfgpp", 0))
    assert plan == compiled(denoiser, guided(TIMES, "cfg", 0))
    got = sample(denoiser, plan, NOISES[0], None)
    plain = compile_recipe(
        Recipe.from_dict(
            {
                "version": 1,
                "model": model_key(denoiser.other).model_dump(),
                "steps": [{"time": time} for time in TIMES],
            }
        ),
        denoiser.other,
    )
    close(got, sample(denoiser.other, plain, NOISES[0], None))
    assert plan.forwards == 4


def test_cfgpp_at_scale_1_renoises_and_saves_the_last_unconditional_run() -> None:
    denoiser = Pair(VariancePreserving(), "v")
    plan = compiled(denoiser, guided(TIMES, "cfgpp", 1))
    sample(denoiser, plan, NOISES[0], None)
    assert denoiser.ran == [("cond", "uncond")] * 3 + [("cond",)]
    assert plan.forwards == 7


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_stochastic_cfgpp_keeps_unconditional_noise(eta: float) -> None:
    denoiser = Pair(VariancePreserving(), "noise")
    plan = compiled(denoiser, guided(TIMES, "cfgpp", 0.6, eta=eta))
    states = trajectory(denoiser, plan, NOISES[0], None, step_noise=lambda k: NOISES[k])
    found = [state.x for state in states]
    ends = levels(denoiser, TIMES)
    for k, time in enumerate(TIMES[:-1]):
        (alpha, sigma), (next_alpha, next_sigma) = ends[k], ends[k + 1]
        (with_it, _), (without, noise) = (
            denoiser.alone(condition, found[k], time) for condition in ("cond", "uncond")
        )
        ratio = (next_sigma * alpha / (next_alpha * sigma)) ** 2
        added = eta * next_sigma * math.sqrt(1 - ratio)
        data = without + 0.6 * (with_it - without)
        kept = math.sqrt(next_sigma**2 - added**2)
        close(found[k + 1], next_alpha * data + kept * noise + added * NOISES[k + 1])


def test_cfgpp_in_the_reverse_sde_keeps_unconditional_noise() -> None:
    """In noise prediction less than the state's whole share stays, and that is unconditional."""
    denoiser = Pair(VariancePreserving(), "noise")
    times = (600.0, 500.0, 300.0)
    plan = compiled(denoiser, guided(times, "cfgpp", 0.6, eta=1.0, prediction="noise"))
    states = trajectory(denoiser, plan, NOISES[0], None, step_noise=lambda k: NOISES[k])
    found = [state.x for state in states]
    ends = levels(denoiser, times)
    for k, time in enumerate(times[:-1]):
        (alpha, sigma), (next_alpha, next_sigma) = ends[k], ends[k + 1]
        (with_it, _), (without, noise) = (
            denoiser.alone(condition, found[k], time) for condition in ("cond", "uncond")
        )
        # e^h
        ratio = next_alpha * sigma / (alpha * next_sigma)
        data = without + 0.6 * (with_it - without)
        # SDE-DPM-Solver-1 with the state as ``alpha * data + sigma * noise``.
        expected = next_alpha / alpha * (alpha * data + sigma * noise)
        expected = expected - 2 * next_sigma * (ratio - 1) * noise
        close(found[k + 1], expected + next_sigma * math.sqrt(ratio**2 - 1) * NOISES[k + 1])


@pytest.mark.parametrize(("schedule", "prediction", "times"), KINDS)
@pytest.mark.parametrize("scale", [0.37, 1.0])
def test_cfgpp_dpmpp_2m_is_the_released_step(
    scale: float, schedule: NoiseSchedule, prediction: Prediction, times: Sequence[float]
) -> None:
    """In the scaling with alpha 1: ``D - e^-h U + (1 - e^-h) / (2 r) (D - U_old) + e^-h x``."""
    if schedule.family == "flow":
        times = (0.99, *times[1:])
    denoiser = Pair(schedule, prediction)
    plan = compiled(denoiser, guided(times, "cfgpp", scale, order=2))
    found = [state.x for state in trajectory(denoiser, plan, NOISES[0], None)]
    log_snrs = [schedule.log_snr(time) for time in times]
    old: Tensor | None = None
    for k, (time, log_snr, end) in enumerate(zip(times, log_snrs, log_snrs[1:], strict=False)):
        (alpha, _), (next_alpha, _) = schedule.alpha_sigma(log_snr), schedule.alpha_sigma(end)
        (with_it, _), (without, _) = (
            denoiser.alone(condition, found[k], time) for condition in ("cond", "uncond")
        )
        data = without + scale * (with_it - without)
        h = end - log_snr
        x = data - math.exp(-h) * without + math.exp(-h) * found[k] / alpha
        if old is not None:
            r = (log_snr - log_snrs[k - 1]) / h
            x = x + (1 - math.exp(-h)) / (2 * r) * (data - old)
        close(found[k + 1] / next_alpha, x)
        old = without


# -- all rules -------------------------------------------------------------------------------

RULES = [
    {"rule": "cfg", "scale": 3},
    {"rule": "cfgpp", "scale": 0.4},
    {"rule": "pag", "scale": 2, "heads": {"block.0": [1]}},
    {"rule": "weak", "scale": 2.5, "sites": {"block.0": "skip"}},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_of_equal_predictions_every_rule_is_the_plain_sampler(
    solver: str, rule: dict[str, Any]
) -> None:
    """And what is run is what is counted."""
    denoiser = Pair(VariancePreserving(), "noise", alike=True)
    denoiser.heads = {"block.0": 2}
    denoiser.sites = (Site("block.0", 1, 1),)
    plain = baseline(f"{solver}@6", denoiser)
    data = plain.to_dict()
    for step in data["steps"]:
        step["guidance"] = [rule]
    if rule["rule"] == "cfgpp" and any(not FORMS[step.form].renoises for step in plain.steps):
        with pytest.raises(UserError, match="does not renoise"):
            Recipe.from_dict(data)
        return
    plans = [compile_recipe(recipe, denoiser) for recipe in (plain, Recipe.from_dict(data))]
    found = []
    for plan in plans:
        denoiser.ran.clear()
        found.append(sample(denoiser, plan, NOISES[0], None, step_noise=lambda k: NOISES[k]))
        assert sum(map(len, denoiser.ran)) == plan.forwards
    assert plans[1].forwards > plans[0].forwards
    torch.testing.assert_close(found[1], found[0], rtol=1e-7, atol=1e-7)
