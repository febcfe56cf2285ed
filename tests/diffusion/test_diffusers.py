"""Equality with diffusers' schedulers: same exact denoiser, same noise, each on its own grid.

Diffusers keeps its tables and the state in single precision, which costs it up to three digits of
the clean data at high noise; here its modules are made to compute in double precision.
"""

import math
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.grids import grid
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampler import sample
from autosearch.diffusion.schedules import EDM, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.plan import Plan, StepPlan, compile_recipe, model_key
from autosearch.recipe import Recipe

MakeExact = Callable[..., ExactDenoiser]

# What the nine digits of a recipe's explicit log-SNRs leave.
TOLERANCE = 1e-6
KINDS = (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
STEPS = (1, 2, 3, 4, 5, 10, 20)
BETAS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear"},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
THEIR_NAME = {"noise": "epsilon", "v": "v_prediction", "data": "sample"}
SAID: tuple[Prediction, ...] = ("noise", "v", "data")
vp_cases = pytest.mark.parametrize(
    ("name", "said"), [(name, said) for name in BETAS for said in SAID]
)


class DoublePrecision:
    """A module such as torch or numpy in which ``float32`` means ``float64``."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, "float64" if name == "float32" else name)


@pytest.fixture(autouse=True)
def _double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        module = sys.modules[kind.__module__]
        monkeypatch.setattr(module, "torch", DoublePrecision(torch))
        monkeypatch.setattr(module, "np", DoublePrecision(np), raising=False)


def unit_noise(k: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(7 + k)
    return torch.randn(8, 3, generator=generator, dtype=torch.float64)


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.isfinite().all()
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < TOLERANCE


def ours(denoiser: ExactDenoiser, name: str) -> Tensor:
    return sample(denoiser, compile_recipe(baseline(name, denoiser), denoiser), unit_noise(), None)


def vp_scheduler(kind: type, name: str, said: Prediction, **options: object) -> Any:
    return kind(**BETAS[name], prediction_type=THEIR_NAME[said], **options)


# -- DDIM ------------------------------------------------------------------------------------


def ddim(denoiser: ExactDenoiser, spacing: str, steps: int, *, eta: float = 0.0) -> Tensor:
    scheduler = vp_scheduler(
        DDIMScheduler,
        denoiser.schedule.name,
        denoiser.prediction,
        timestep_spacing=spacing,
        clip_sample=False,
        set_alpha_to_one=True,
    )
    scheduler.set_timesteps(steps)
    x = unit_noise()
    for k, time in enumerate(scheduler.timesteps, start=1):
        output = denoiser.denoise(x, float(time), None)["cond"]
        noise = unit_noise(k) if eta else None
        x = scheduler.step(output, time, x, eta=eta, variance_noise=noise).prev_sample
    return x


@vp_cases
def test_ddim_leading(name: str, said: Prediction, mixture: Mixture, exact: MakeExact) -> None:
    denoiser = exact(mixture, VariancePreserving(name), said)
    for steps in STEPS:
        assert_same(ours(denoiser, f"ddim@{steps}"), ddim(denoiser, "leading", steps))


@pytest.mark.parametrize("eta", [0.3, 1.0])
@vp_cases
def test_ddim_eta(
    name: str, said: Prediction, eta: float, mixture: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(mixture, VariancePreserving(name), said)
    for steps in STEPS:
        data = baseline(f"ddim@{steps}", denoiser).to_dict()
        for step in data["steps"]:
            step["eta"] = eta
        plan = compile_recipe(Recipe.from_dict(data), denoiser)
        x = sample(denoiser, plan, unit_noise(), None, step_noise=unit_noise)
        assert_same(x, ddim(denoiser, "leading", steps, eta=eta))


def test_ddpm_is_ddim_with_eta_1(mixture: Mixture, exact: MakeExact) -> None:
    denoiser = exact(mixture, VariancePreserving(), "noise")
    plan = compile_recipe(baseline("ddpm@10", denoiser), denoiser)
    x = sample(denoiser, plan, unit_noise(), None, step_noise=unit_noise)
    assert_same(x, ddim(denoiser, "leading", 10, eta=1.0))


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
@pytest.mark.parametrize("name", BETAS)
def test_ddim_steps_of_other_spacings(
    name: str, spacing: str, mixture: Mixture, exact: MakeExact
) -> None:
    """Diffusers' DDIM always steps by T // K, wherever the next time of the grid is.

    So its steps are compared on its own levels; the grid itself is compared below.
    """
    schedule = VariancePreserving(name)
    denoiser = exact(mixture, schedule, "noise")
    for steps in STEPS:
        plans = []
        for time, _ in grid(spacing, schedule, steps):
            after = time - 1000 // steps
            end = schedule.log_snr(after) if after >= 0 else math.inf
            plans.append(StepPlan(time, schedule.log_snr(time), end))
        plan = Plan(model_key(denoiser), 1.0, tuple(plans), macs=1, full_macs=1, memory=0)
        x = sample(denoiser, plan, unit_noise(), None)
        assert_same(x, ddim(denoiser, spacing, steps))


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 20])
def test_ddim_trailing(steps: int, mixture: Mixture, exact: MakeExact) -> None:
    """Where K divides T, its steps and its trailing grid agree."""
    denoiser = exact(mixture, VariancePreserving(), "v")
    assert_same(ours(denoiser, f"ddim-trailing@{steps}"), ddim(denoiser, "trailing", steps))


# -- Euler -----------------------------------------------------------------------------------


def euler(denoiser: ExactDenoiser, steps: int, **options: object) -> Tensor:
    scheduler = vp_scheduler(
        EulerDiscreteScheduler, denoiser.schedule.name, denoiser.prediction, **options
    )
    scheduler.set_timesteps(steps)
    x = unit_noise() * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, time)
        output = denoiser.denoise(scaled, float(time), None)["cond"]
        x = scheduler.step(output, time, x).prev_sample
    return x


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@vp_cases
def test_euler(
    name: str, said: Prediction, spacing: str, mixture: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(mixture, VariancePreserving(name), said)
    suffix = "" if spacing == "linspace" else f"-{spacing}"
    for steps in STEPS:
        theirs = euler(denoiser, steps, timestep_spacing=spacing)
        assert_same(ours(denoiser, f"euler{suffix}@{steps}"), theirs)


@pytest.mark.parametrize("grid_name", ["karras", "edm"])
def test_euler_karras(grid_name: str, mixture: Mixture, exact: MakeExact) -> None:
    """Its times are real, so `karras` and `edm` are the same grid for Euler."""
    denoiser = exact(mixture, VariancePreserving(), "noise")
    for steps in (2, 5, 20):
        theirs = euler(denoiser, steps, use_karras_sigmas=True)
        assert_same(ours(denoiser, f"euler-{grid_name}@{steps}"), theirs)


# -- DPM-Solver ------------------------------------------------------------------------------


def dpm(denoiser: ExactDenoiser, steps: int, **options: object) -> Tensor:
    scheduler = vp_scheduler(
        DPMSolverMultistepScheduler,
        denoiser.schedule.name,
        denoiser.prediction,
        solver_order=2,
        **options,
    )
    scheduler.set_timesteps(steps)
    x = unit_noise() * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        output = denoiser.denoise(x, float(time), None)["cond"]
        x = scheduler.step(output, time, x).prev_sample
    return x


@pytest.mark.parametrize("solver", ["dpmpp_2m", "taylor_2m"])
@vp_cases
def test_dpmpp_2m(
    name: str, said: Prediction, solver: str, mixture: Mixture, exact: MakeExact
) -> None:
    solver_type = {"dpmpp_2m": "midpoint", "taylor_2m": "heun"}[solver]
    denoiser = exact(mixture, VariancePreserving(name), said)
    spacings = {"": "linspace", "-leading-ms": "leading", "-trailing": "trailing"}
    for suffix, spacing in spacings.items():
        for steps in STEPS:
            theirs = dpm(denoiser, steps, solver_type=solver_type, timestep_spacing=spacing)
            assert_same(ours(denoiser, f"{solver}{suffix}@{steps}"), theirs)


@pytest.mark.parametrize("name", BETAS)
def test_dpmpp_2m_karras(name: str, mixture: Mixture, exact: MakeExact) -> None:
    denoiser = exact(mixture, VariancePreserving(name), "noise")
    for steps in (2, 3, 4, 5) if name == "cosine" else STEPS:
        theirs = dpm(denoiser, steps, use_karras_sigmas=True)
        assert_same(ours(denoiser, f"dpmpp_2m-karras@{steps}"), theirs)


@pytest.mark.parametrize("form", ["dpmsolver", "taylor"])
@vp_cases
def test_dpm_2m_in_noise_prediction(
    name: str, said: Prediction, form: str, mixture: Mixture, exact: MakeExact
) -> None:
    """Diffusers takes this one to the least noise level only, and lowers orders under 15 steps."""
    solver_type = {"dpmsolver": "midpoint", "taylor": "heun"}[form]
    denoiser = exact(mixture, VariancePreserving(name), said)
    end = denoiser.schedule.log_snr(0.0)
    for steps in STEPS:
        data = baseline(f"dpm_2m@{steps}", denoiser).to_dict()
        for i, step in enumerate(data["steps"]):
            if i and (steps >= 15 or i < steps - 1):
                step.update(order=2, prediction="noise", form=form)
        plan = compile_recipe(Recipe.from_dict({**data, "end": end}), denoiser)
        theirs = dpm(
            denoiser,
            steps,
            algorithm_type="dpmsolver",
            solver_type=solver_type,
            final_sigmas_type="sigma_min",
        )
        assert_same(sample(denoiser, plan, unit_noise(), None), theirs)


# -- flow and EDM ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "shift"), [("euler", 1.0), ("euler-flow-shift", 3.0)])
def test_flow_match_euler(name: str, shift: float, mixture: Mixture, exact: MakeExact) -> None:
    denoiser = exact(mixture, RectifiedFlow(), "flow")
    for steps in STEPS:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps).tolist())
        x = unit_noise()
        for time in scheduler.timesteps:
            output = denoiser.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        assert_same(ours(denoiser, f"{name}@{steps}"), x)


def test_edm_euler(mixture: Mixture, exact: MakeExact) -> None:
    denoiser = exact(mixture, EDM(), "data")
    for steps in STEPS:
        scheduler = EDMEulerScheduler()
        scheduler.set_timesteps(steps)
        x = unit_noise() * scheduler.init_noise_sigma
        for i, time in enumerate(scheduler.timesteps):
            sigma = float(scheduler.sigmas[i])
            scheduler.scale_model_input(x, time)
            data = denoiser.denoise(x, sigma, None)["cond"]
            # What a network would have to say for the scheduler to see this clean data.
            skip = scheduler.precondition_outputs(x, torch.zeros_like(x), sigma)
            scale = scheduler.precondition_outputs(0 * x, torch.ones_like(x), sigma)
            x = scheduler.step((data - skip) / scale, time, x).prev_sample
        assert_same(ours(denoiser, f"euler@{steps}"), x)


# -- grids -----------------------------------------------------------------------------------

GRIDS = [
    ("leading", DDIMScheduler, "leading", True),
    ("linspace", DDIMScheduler, "linspace", True),
    ("trailing", DDIMScheduler, "trailing", True),
    ("leading-ms", DPMSolverMultistepScheduler, "leading", True),
    ("linspace-ms", DPMSolverMultistepScheduler, "linspace", True),
    ("trailing", DPMSolverMultistepScheduler, "trailing", True),
    ("linspace", EulerDiscreteScheduler, "linspace", False),
    ("leading", EulerDiscreteScheduler, "leading", False),
    ("trailing", EulerDiscreteScheduler, "trailing", False),
]


@pytest.mark.parametrize(("name", "kind", "spacing", "whole"), GRIDS)
def test_grids(name: str, kind: type, spacing: str, whole: bool) -> None:
    scheduler = kind(timestep_spacing=spacing)
    schedule = VariancePreserving()
    for steps in [*range(1, 60), 96, 100, 103, 112, 250, 333, 500, 999]:
        scheduler.set_timesteps(steps)
        theirs = scheduler.timesteps.double().tolist()[:steps]
        times = [time for time, _ in grid(name, schedule, steps, whole=whole)]
        assert times == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
def test_karras_grid(name: str) -> None:
    scheduler = DPMSolverMultistepScheduler(**BETAS[name], use_karras_sigmas=True)
    for steps in (1, 2, 3, 5, 8, 10, 20, 40):
        scheduler.set_timesteps(steps)
        points = grid("karras", VariancePreserving(name), steps)
        assert [time for time, _ in points] == scheduler.timesteps.tolist()
        log_snrs = -scheduler.sigmas[:-1].log()
        assert [log_snr for _, log_snr in points] == pytest.approx(log_snrs.tolist(), abs=1e-9)
