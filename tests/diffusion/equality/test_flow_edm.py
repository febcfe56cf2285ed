"""Samplers of diffusers for flow and EDM models."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from autosearch.baselines.solvers import SOLVERS
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import EDM, RectifiedFlow
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[..., Any]


@pytest.fixture
def flow(mixture: Mixture, exact: Make) -> ExactDenoiser:
    return exact(mixture, RectifiedFlow(), "flow")


@pytest.fixture
def edm(mixture: Mixture, exact: Make) -> ExactDenoiser:
    return exact(mixture, EDM(), "data")


@pytest.mark.parametrize(
    ("name", "shift"),
    [("euler", 1.0), ("euler-flow-shift", 3.0), ("euler-flow-shift-linspace", 3.0)],
)
def test_flow_match_euler(name: str, shift: float, flow: ExactDenoiser, peer: Any) -> None:
    for steps in peer.counts:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        if name.endswith("linspace"):
            scheduler.set_timesteps(steps)
        else:
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps).tolist())
        x = peer.noise()
        for time in scheduler.timesteps:
            output = flow.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        peer.assert_same(peer.ours(flow, f"{name}@{steps}"), x)


FLOW_SIGMAS: dict[str, tuple[type, dict[str, Any]]] = {
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"solver_order": 2}),
    "dpmpp_3m": (DPMSolverMultistepScheduler, {"solver_order": 3}),
    "taylor_2m": (DPMSolverMultistepScheduler, {"solver_type": "heun"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "unipc_3": (UniPCMultistepScheduler, {"solver_order": 3}),
}


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("solver", FLOW_SIGMAS)
def test_multistep_on_flow_sigmas(
    solver: str, shift: float, flow: ExactDenoiser, peer: Any
) -> None:
    """The network gets the exact levels; diffusers cuts its times to whole thousandths."""
    kind, options = FLOW_SIGMAS[solver]
    scheduler = kind(
        use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction", **options
    )
    for steps in peer.counts:
        scheduler.set_timesteps(steps)
        x = peer.noise()
        for time, level in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
            output = flow.denoise(x, float(level), None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        levels = scheduler.sigmas[:-1].tolist()
        data = {
            "version": 1,
            "model": model_key(flow).model_dump(),
            "steps": [
                {"time": level, "log_snr": flow.schedule.log_snr(level), **choices}
                for level, choices in zip(levels, SOLVERS[solver].steps(steps), strict=True)
            ],
        }
        peer.assert_same(peer.ours(flow, data), x)


def edm_sample(scheduler: Any, denoiser: ExactDenoiser, x: Tensor) -> Tensor:
    """Gives the scheduler what a network would have to say for it to see the clean data."""
    x = x * scheduler.init_noise_sigma
    for i, time in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[i])
        scheduler.scale_model_input(x, time)
        data = denoiser.denoise(x, sigma, None)["cond"]
        skip = scheduler.precondition_outputs(x, torch.zeros_like(x), sigma)
        scale = scheduler.precondition_outputs(0 * x, torch.ones_like(x), sigma)
        x = scheduler.step((data - skip) / scale, time, x).prev_sample
    return x


def test_edm_euler(edm: ExactDenoiser, peer: Any) -> None:
    for steps in peer.counts:
        scheduler = EDMEulerScheduler()
        scheduler.set_timesteps(steps)
        peer.assert_same(peer.ours(edm, f"euler@{steps}"), edm_sample(scheduler, edm, peer.noise()))


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("ddim", {"solver_order": 1}),
        ("dpmpp_2m", {"solver_order": 2}),
        ("taylor_2m", {"solver_order": 2, "solver_type": "heun"}),
        ("dpmpp_3m", {"solver_order": 3}),
        ("dpmpp_2m_sde", {"solver_order": 2, "algorithm_type": "sde-dpmsolver++"}),
    ],
)
def test_edm_dpm_solver(
    solver: str,
    options: dict[str, Any],
    edm: ExactDenoiser,
    monkeypatch: pytest.MonkeyPatch,
    peer: Any,
) -> None:
    module = sys.modules[EDMDPMSolverMultistepScheduler.__module__]
    for steps in peer.counts:
        drawn = itertools.count(1)
        monkeypatch.setattr(module, "randn_tensor", lambda *_, k=drawn, **__: peer.noise(next(k)))
        scheduler = EDMDPMSolverMultistepScheduler(**options)
        scheduler.set_timesteps(steps)
        peer.assert_same(
            peer.ours(edm, f"{solver}@{steps}"), edm_sample(scheduler, edm, peer.noise())
        )
