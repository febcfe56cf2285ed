"""DDIM and Euler of diffusers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from diffusers import DDIMScheduler, EulerDiscreteScheduler
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.grids import grid
from autosearch.diffusion.plan.plan import Plan, StepPlan, model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

Ddim = Callable[..., Tensor]


@pytest.fixture
def ddim(peer: Any) -> Ddim:
    def run(denoiser: ExactDenoiser, spacing: str, steps: int, *, eta: float = 0.0) -> Tensor:
        scheduler = peer.scheduler(
            DDIMScheduler,
            denoiser,
            timestep_spacing=spacing,
            clip_sample=False,
            set_alpha_to_one=True,
        )
        scheduler.set_timesteps(steps)
        x = peer.noise()
        for k, time in enumerate(scheduler.timesteps, start=1):
            output = denoiser.denoise(x, float(time), None)["cond"]
            noise = peer.noise(k) if eta else None
            x = scheduler.step(output, time, x, eta=eta, variance_noise=noise).prev_sample
        return x

    return run


def test_ddim_leading(vp: ExactDenoiser, ddim: Ddim, peer: Any) -> None:
    for steps in peer.counts:
        peer.assert_same(peer.ours(vp, f"ddim@{steps}"), ddim(vp, "leading", steps))


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_eta(eta: float, vp: ExactDenoiser, ddim: Ddim, peer: Any) -> None:
    for steps in peer.counts:
        data = baseline(f"ddim@{steps}", vp).to_dict()
        for step in data["steps"]:
            step["eta"] = eta
        peer.assert_same(peer.ours(vp, data), ddim(vp, "leading", steps, eta=eta))


def test_ddpm_is_ddim_with_eta_1(vp_noise: ExactDenoiser, ddim: Ddim, peer: Any) -> None:
    peer.assert_same(peer.ours(vp_noise, "ddpm@10"), ddim(vp_noise, "leading", 10, eta=1.0))


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_ddim_steps_of_other_spacings(
    spacing: str, vp_noise: ExactDenoiser, ddim: Ddim, peer: Any
) -> None:
    """Diffusers' DDIM always steps by T // K, wherever the next time of the grid is.

    So its steps are compared on its own levels; the grid itself is compared elsewhere.
    """
    schedule = vp_noise.schedule
    for steps in peer.counts:
        plans = []
        for time, _ in grid(spacing, schedule, steps):
            after = time - 1000 // steps
            end = schedule.log_snr(after) if after >= 0 else math.inf
            plans.append(StepPlan(time, schedule.log_snr(time), end))
        plan = Plan(model_key(vp_noise), 1.0, tuple(plans), macs=1, full_macs=1, memory=0)
        x = sample(vp_noise, plan, peer.noise(), None)
        peer.assert_same(x, ddim(vp_noise, spacing, steps))


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 20])
def test_ddim_trailing(steps: int, mixture: Mixture, exact: Any, ddim: Ddim, peer: Any) -> None:
    """Where K divides T, its steps and its trailing grid agree."""
    denoiser = exact(mixture, VariancePreserving(), "v")
    peer.assert_same(
        peer.ours(denoiser, f"ddim-trailing@{steps}"), ddim(denoiser, "trailing", steps)
    )


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_euler(spacing: str, vp: ExactDenoiser, peer: Any) -> None:
    scheduler = peer.scheduler(EulerDiscreteScheduler, vp, timestep_spacing=spacing)
    suffix = "" if spacing == "linspace" else f"-{spacing}"
    for steps in peer.counts:
        peer.assert_same(peer.ours(vp, f"euler{suffix}@{steps}"), peer.theirs(scheduler, vp, steps))


@pytest.mark.parametrize("grid_name", ["karras", "edm"])
def test_euler_karras(grid_name: str, mixture: Mixture, exact: Any, peer: Any) -> None:
    """Its times are real, so `karras` and `edm` are the same grid for Euler."""
    denoiser = exact(mixture, VariancePreserving(), "noise")
    scheduler = peer.scheduler(EulerDiscreteScheduler, denoiser, use_karras_sigmas=True)
    for steps in (2, 5, 20):
        x = peer.ours(denoiser, f"euler-{grid_name}@{steps}")
        peer.assert_same(x, peer.theirs(scheduler, denoiser, steps))
