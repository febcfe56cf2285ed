"""Stochastic solvers beside diffusers' and published formulas, on the same noise."""

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diffusers import (
    EulerAncestralDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SASolverScheduler,
)
from torch import Tensor

from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[..., ExactDenoiser]


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch, peer: Any) -> Callable[[type], None]:
    """Makes a scheduler's module draw the noise of our steps, from the first on."""

    def begin(kind: type) -> None:
        drawn = itertools.count(1)
        module = sys.modules[kind.__module__]
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: peer.noise(next(drawn)))

    return begin


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_euler_ancestral(
    spacing: str, mixture: Mixture, exact: Make, peer: Any, same_noise: Any
) -> None:
    suffix = "" if spacing == "linspace" else f"-{spacing}"
    for betas, said in itertools.product(("linear", "scaled_linear", "cosine"), ("noise", "v")):
        vp = exact(mixture, VariancePreserving(betas), said)
        kind = EulerAncestralDiscreteScheduler
        scheduler = peer.scheduler(kind, vp, timestep_spacing=spacing)
        for steps in peer.counts:
            same_noise(kind)
            theirs = peer.theirs(scheduler, vp, steps)
            peer.assert_same(peer.ours(vp, f"euler_a{suffix}@{steps}"), theirs)


@pytest.mark.parametrize(("name", "orders"), [("sa_solver", (2, 2)), ("sa_solver_3", (3, 4))])
def test_sa_solver(
    name: str, orders: tuple[int, int], vp: ExactDenoiser, peer: Any, same_noise: Any
) -> None:
    """To the noise level of time 0, where it ends in diffusers."""
    predictor, corrector = orders
    kind = SASolverScheduler
    scheduler = peer.scheduler(kind, vp, predictor_order=predictor, corrector_order=corrector)
    for steps in peer.counts:
        same_noise(kind)
        theirs = peer.theirs(scheduler, vp, steps)
        data = baseline(f"{name}@{steps}", vp).to_dict()
        data["end"] = vp.schedule.log_snr(0.0)
        peer.assert_same(peer.ours(vp, data), theirs)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_sa_solver_on_flows(
    shift: float, mixture: Mixture, exact: Make, peer: Any, same_noise: Any
) -> None:
    """The network gets the exact levels, the times of the noise are cut to thousandths."""
    flow = exact(mixture, RectifiedFlow(), "flow")
    kind = SASolverScheduler
    scheduler = kind(use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction")
    for steps in peer.counts:
        same_noise(kind)
        scheduler.set_timesteps(steps)
        levels = scheduler.sigmas[:-1].tolist()
        x = peer.noise()
        for time, level in zip(scheduler.timesteps, levels, strict=True):
            output = flow.denoise(x, level, None)["cond"]
            x = scheduler.step(output, int(time), x).prev_sample
        cut = [
            (int(time) / 1000, flow.schedule.log_snr(v))
            for time, v in zip(scheduler.timesteps, levels, strict=True)
        ]
        laid = SOLVERS["sa_solver"].lay_out(flow.schedule, cut)
        data = {
            "version": 1,
            "model": model_key(flow).model_dump(),
            "steps": [
                {"time": level, "log_snr": log_snr, **choices}
                for level, (_, log_snr), choices in zip(
                    levels, laid.points, laid.choices, strict=True
                )
            ],
            "end": flow.schedule.log_snr(levels[-1]),
        }
        peer.assert_same(peer.ours(flow, data), x)


def test_consistency_is_their_stochastic_euler(
    mixture: Mixture, exact: Make, peer: Any, same_noise: Any
) -> None:
    flow = exact(mixture, RectifiedFlow(), "flow")
    kind = FlowMatchEulerDiscreteScheduler
    for steps in peer.counts:
        same_noise(kind)
        scheduler = kind(shift=3.0, stochastic_sampling=True)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps).tolist())
        x = peer.noise()
        for time in scheduler.timesteps:
            output = flow.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        peer.assert_same(peer.ours(flow, f"consistency-flow-shift@{steps}"), x)


def test_euler_ancestral_of_flows(mixture: Mixture, exact: Make, peer: Any) -> None:
    """Euler further down, then scaled and noised to the next level."""
    flow = exact(mixture, RectifiedFlow(), "flow")
    for steps in peer.counts:
        x = peer.noise()
        times = [1 - i / steps for i in range(steps)] + [0.0]
        for k, (time, end) in enumerate(itertools.pairwise(times), start=1):
            velocity = flow.denoise(x, time, None)["cond"]
            if end == 0:
                x = x - time * velocity
                continue
            down = end * (1 + (end / time - 1))
            x = x + (down - time) * velocity
            scale = (1 - end) / (1 - down)
            added = math.sqrt(end**2 - down**2 * scale**2)
            x = scale * x + added * peer.noise(k)
        peer.assert_same(peer.ours(flow, f"euler_a@{steps}"), x)


SCHEDULES: dict[str, tuple[NoiseSchedule, str]] = {
    "ve": (EDM(), "data"),
    "vp": (VariancePreserving(), "noise"),
}


@pytest.mark.parametrize("family", SCHEDULES)
def test_er_sde(family: str, mixture: Mixture, exact: Make, peer: Any) -> None:
    """``x' = (alpha'/alpha) r x + alpha' (1 - r) data`` and the noise of what is left."""

    def phi(rho: float) -> float:
        return rho * (math.exp(rho**0.3) + 10)

    schedule, said = SCHEDULES[family]
    denoiser = exact(mixture, schedule, said)
    for steps in peer.counts:
        recipe = baseline(f"er_sde@{steps}", denoiser)
        points = [(step.time, schedule.log_snr(step.time)) for step in recipe.steps]
        x: Tensor = peer.noise() * (math.hypot(80, 1) if family == "ve" else 1.0)
        for k, ((time, here), (_, there)) in enumerate(
            itertools.pairwise([*points, (0.0, math.inf)]), start=1
        ):
            (alpha, sigma), (next_alpha, next_sigma) = map(schedule.alpha_sigma, (here, there))
            output = denoiser.denoise(x, time, None)["cond"]
            data = output if said == "data" else (x - sigma * output) / alpha
            rho, next_rho = sigma / alpha, next_sigma / next_alpha
            share = phi(next_rho) / phi(rho)
            added = next_alpha * math.sqrt(max(next_rho**2 - (rho * share) ** 2, 0.0))
            x = next_alpha / alpha * share * x + next_alpha * (1 - share) * data
            x = x + added * peer.noise(k)
        peer.assert_same(peer.ours(denoiser, recipe.to_dict()), x)
