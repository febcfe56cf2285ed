"""Heun's method of diffusers, in sigma and in the time of flow models."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from diffusers import FlowMatchHeunDiscreteScheduler, HeunDiscreteScheduler

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[..., Any]


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_heun(spacing: str, vp: ExactDenoiser, peer: Any) -> None:
    """Also as expensive: 2 K - 1 evaluations for K steps."""
    scheduler = peer.scheduler(HeunDiscreteScheduler, vp, timestep_spacing=spacing)
    suffix = "" if spacing == "linspace" else f"-{spacing}"
    for steps in peer.counts:
        name = f"heun{suffix}@{steps}"
        peer.assert_same(peer.ours(vp, name), peer.theirs(scheduler, vp, steps))
        plan = compile_recipe(baseline(name, vp), vp)
        assert plan.nfe == 2 * steps - 1 == len(scheduler.timesteps)


def test_heun_karras(mixture: Mixture, exact: Make, peer: Any) -> None:
    denoiser = exact(mixture, VariancePreserving(), "noise")
    scheduler = peer.scheduler(HeunDiscreteScheduler, denoiser, use_karras_sigmas=True)
    for steps in (2, 5, 20):
        # Its Karras levels run over those of the linspace grid, which are all of the schedule.
        peer.assert_same(
            peer.ours(denoiser, f"heun-karras@{steps}"), peer.theirs(scheduler, denoiser, steps)
        )


def trapezoid(start: float, end: float) -> dict[str, Any]:
    """The trapezoidal rule for noise - data in time, as a relaxed corrector in data prediction.

    From t to t' = t - d it is ``x' = t' / t x + d / t (1 - d / t') / 2 data + d / (2 t') data'``:
    the exact integrator's base, and a multiple of its difference.
    """
    h = math.log((1 - end) / (1 - start)) + math.log(start / end)
    exactly = (1 - end) * (1 + math.expm1(-h) / h)
    factor = (start - end) / (2 * end) / exactly
    relaxation = {"kind": "linear", "coefficient": (factor - 1) / h}
    return {"kind": "implicit", "order": 2, "form": "taylor", "relaxation": relaxation}


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_match_heun(shift: float, mixture: Mixture, exact: Make, peer: Any) -> None:
    """From a little below time 1: a step from pure noise is not corrected by us."""
    denoiser = exact(mixture, RectifiedFlow(), "flow")
    for steps in (2, 3, 4, 5, 7, 10, 20):
        scheduler = FlowMatchHeunDiscreteScheduler(shift=shift)
        scheduler.sigma_max, scheduler.sigma_min = 0.95, 0.05
        scheduler.set_timesteps(steps)
        x = peer.noise() * float(scheduler.sigmas[0])
        for time in scheduler.timesteps:
            output = denoiser.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        times = np.unique(scheduler.timesteps.numpy() / 1000)[::-1].tolist()
        correctors: list[Any] = [trapezoid(a, b) for a, b in pairwise(times)]
        data = {
            "version": 1,
            "model": model_key(denoiser).model_dump(),
            "start": {"scale": "sigma"},
            "steps": [
                {"time": time, "corrector": corrector}
                for time, corrector in zip(times, [*correctors, "none"], strict=True)
            ],
        }
        peer.assert_same(peer.ours(denoiser, data), x)
