"""Diffusers' LMS and PNDM, and Adams-Bashforth as published code runs it."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import LMSDiscreteScheduler, PNDMScheduler
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import EDM, RectifiedFlow
from autosearch.models.diffusers.scheduler_grids import SchedulerGrids
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[..., ExactDenoiser]
WEIGHTS = (
    (1,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_lms(spacing: str, vp: ExactDenoiser, peer: Any) -> None:
    """Of full order into the clean end; their integrals are to 1e-4, of cubics exact."""
    scheduler = peer.scheduler(LMSDiscreteScheduler, vp, timestep_spacing=spacing)
    suffix = "" if spacing == "linspace" else f"-{spacing}"
    for steps in peer.counts:
        theirs = peer.theirs(scheduler, vp, steps)
        peer.assert_same(peer.ours(vp, f"lms{suffix}@{steps}"), theirs)


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 10, 20])
def test_plms(steps: int, vp_noise: ExactDenoiser, peer: Any) -> None:
    """Where T is a multiple of K, so that PNDM ends where it asks next; K + 1 evaluations."""
    scheduler = peer.scheduler(PNDMScheduler, vp_noise, skip_prk_steps=True, set_alpha_to_one=True)
    peer.assert_same(peer.ours(vp_noise, f"plms@{steps}"), peer.theirs(scheduler, vp_noise, steps))
    plan = compile_recipe(baseline(f"plms@{steps}", vp_noise), vp_noise)
    assert plan.nfe == len(scheduler.timesteps) == steps + (steps > 1)


def test_plms_is_what_stable_diffusion_comes_with(mixture: Mixture, exact: Make, peer: Any) -> None:
    """On its own scheduler's times, to the level of time 0."""
    config = {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "skip_prk_steps": True,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    grids = SchedulerGrids({"_class_name": "PNDMScheduler", **config})
    denoiser = exact(mixture, grids.schedule, grids.prediction)
    denoiser.own_grids = grids
    for steps in (2, 5, 20, 50):
        theirs = peer.theirs(PNDMScheduler(**config), denoiser, steps)
        peer.assert_same(peer.ours(denoiser, f"plms@{steps}"), theirs)


def multistep(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, levels: list[float], order: int
) -> Tensor:
    """``x' = x + (level' - level) slope`` with the slope of constant weights."""
    slopes: list[Tensor] = []
    for here, there in itertools.pairwise(levels):
        slopes = [(x - denoise(x, here)) / here, *slopes][:order]
        x = x + (there - here) * sum(
            (c * d for c, d in zip(WEIGHTS[len(slopes) - 1], slopes, strict=True)),
            start=torch.zeros_like(x),
        )
    return x


@pytest.mark.parametrize(("name", "order"), [("ipndm", 4), ("ipndm_3", 3), ("ipndm_2", 2)])
def test_ipndm(name: str, order: int, mixture: Mixture, exact: Make, peer: Any) -> None:
    """In sigma for EDM's models, in time for flows."""
    edm, flow = exact(mixture, EDM(), "data"), exact(mixture, RectifiedFlow(), "flow")
    for steps in peer.counts:
        levels = [*np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), steps) ** 7, 0.0]
        x = multistep(
            lambda x, sigma: edm.denoise(x, sigma, None)["cond"],
            math.hypot(80, 1) * peer.noise(),
            levels if steps > 1 else [80.0, 0.0],
            order,
        )
        peer.assert_same(peer.ours(edm, f"{name}@{steps}"), x)
        times = [1 - i / steps for i in range(steps + 1)]
        x = multistep(
            lambda x, time: x - time * flow.denoise(x, time, None)["cond"],
            peer.noise(),
            times,
            order,
        )
        peer.assert_same(peer.ours(flow, f"{name}@{steps}"), x)


def test_lms_of_flows_is_adams_bashforth(mixture: Mixture, exact: Make, peer: Any) -> None:
    """On even steps with the constant weights; else with true ones."""
    flow = exact(mixture, RectifiedFlow(), "flow")
    for steps in peer.counts:
        same = peer.ours(flow, f"ipndm@{steps}")
        for name in ("lms", "flow_ab4"):
            peer.assert_same(peer.ours(flow, f"{name}@{steps}"), same)
    uneven = [
        compile_recipe(baseline(f"{name}-flow-shift@5", flow), flow).identity
        for name in ("lms", "flow_ab4", "ipndm")
    ]
    assert uneven[0] == uneven[1] != uneven[2]
