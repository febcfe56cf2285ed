"""Samplers of diffusers on flows whose grid begins at pure noise, at times 1 and 0.999999.

Only UniPC takes the levels of a grid; the others are handed them in place of their own, as UniPC
would have them. DEIS ends where its last evaluation is, and takes no step from there.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.grids import grid
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.schedules import RectifiedFlow
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

Make = Callable[..., Any]

GRIDS = ("flow", "flow-shift", "flow-shift-linspace")
STOCHASTIC = {"algorithm_type": "sde-dpmsolver++"}
HEUN = {"solver_type": "heun"}
SOLVERS: dict[str, tuple[type, dict[str, Any]]] = {
    "dpmpp_2m": (DPMSolverMultistepScheduler, {"solver_order": 2}),
    "dpmpp_3m": (DPMSolverMultistepScheduler, {"solver_order": 3}),
    "taylor_2m": (DPMSolverMultistepScheduler, {"solver_order": 2, **HEUN}),
    "dpmpp_2m_sde": (DPMSolverMultistepScheduler, {"solver_order": 2, **STOCHASTIC}),
    "dpmpp_2s": (DPMSolverSinglestepScheduler, {"solver_order": 2}),
    "dpmpp_3s": (DPMSolverSinglestepScheduler, {"solver_order": 3}),
    "taylor_3s": (DPMSolverSinglestepScheduler, {"solver_order": 3, **HEUN}),
    "unipc_1": (UniPCMultistepScheduler, {"solver_order": 1}),
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2}),
    "unipc_3": (UniPCMultistepScheduler, {"solver_order": 3}),
    "deis": (DEISMultistepScheduler, {"solver_order": 2}),
    "deis_3": (DEISMultistepScheduler, {"solver_order": 3}),
}
# Where diffusers begins instead of at 1.
FIRST = 1 - 1e-6


@pytest.fixture
def flow(mixture: Mixture, exact: Make) -> ExactDenoiser:
    return exact(mixture, RectifiedFlow(), "flow")


def theirs(name: str, levels: list[float], flow: ExactDenoiser, peer: Any) -> Tensor:
    """The sample of a scheduler at given levels, the first one below 1."""
    kind, options = SOLVERS[name]
    scheduler = kind(use_flow_sigmas=True, prediction_type="flow_prediction", **options)
    scheduler.set_timesteps(len(levels))
    last = levels[-1] if kind is DEISMultistepScheduler else 0.0
    scheduler.sigmas = torch.tensor([*levels, last], dtype=torch.float64)
    scheduler.timesteps = 1000 * scheduler.sigmas[:-1]
    x = peer.noise()
    for k, time in enumerate(scheduler.timesteps, start=1):
        # The network is trained at time 1; below it by a millionth the levels are its own.
        said = flow.denoise(x, 1.0 if k == 1 else float(time) / 1000, None)["cond"]
        more = {"variance_noise": peer.noise(k)} if name.endswith("sde") else {}
        x = scheduler.step(said, time, x, **more).prev_sample
    return x


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_that_diffusers_runs_on_flows(
    solver: str, name: str, flow: ExactDenoiser, peer: Any
) -> None:
    for steps in (3, 4, 5, 6, 9, 10, 15, 31):
        times = [time for time, _ in grid(name, flow.schedule, steps)]
        data = baseline(f"{solver}-{name}@{steps}", flow).to_dict()
        if solver.startswith("deis"):
            data["end"] = flow.schedule.log_snr(data["steps"].pop()["time"])
        peer.assert_same(peer.ours(flow, data), theirs(solver, [FIRST, *times[1:]], flow, peer))


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_steps_are_eulers_from_time_1(solver: str, flow: ExactDenoiser, peer: Any) -> None:
    """Nothing looks back at pure noise then, and it stays exact, as in diffusers' Euler."""
    euler = compile_recipe(baseline("euler-flow@2", flow), flow)
    plan = compile_recipe(baseline(f"{solver}-flow@2", flow), flow)
    assert plan.steps[0].log_snr == -math.inf
    if not plan.stochastic:
        assert plan.identity == euler.identity
    if not solver.startswith("deis"):
        x = theirs(solver, [FIRST, 0.5], flow, peer)
        torch.testing.assert_close(peer.ours(flow, f"{solver}-flow@2"), x, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_takes_the_grid_itself(
    order: int, shift: float, flow: ExactDenoiser, peer: Any
) -> None:
    name = {1: "unipc_1", 2: "unipc", 3: "unipc_3"}[order]
    name += "-flow" if shift == 1 else "-flow-shift"
    scheduler = UniPCMultistepScheduler(
        solver_order=order,
        use_flow_sigmas=True,
        flow_shift=shift,
        prediction_type="flow_prediction",
    )
    for steps in (3, 4, 6, 8, 10, 20, 50):
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))
        assert float(scheduler.sigmas[0]) == FIRST
        x = peer.noise()
        for time, level in zip(scheduler.timesteps, scheduler.sigmas.tolist(), strict=False):
            said = flow.denoise(x, 1.0 if level == FIRST else level, None)["cond"]
            x = scheduler.step(said, time, x).prev_sample
        peer.assert_same(peer.ours(flow, f"{name}@{steps}"), x)


@pytest.mark.parametrize("name", GRIDS)
def test_flow_match_heun(name: str, flow: ExactDenoiser, peer: Any) -> None:
    """Also as expensive: 2 K - 1 evaluations for K steps."""
    for steps in (1, 2, 3, 4, 5, 7, 10, 20, 50):
        scheduler = FlowMatchHeunDiscreteScheduler(shift=1.0 if name == "flow" else 3.0)
        if name != "flow-shift-linspace":
            scheduler.sigma_max, scheduler.sigma_min = 1.0, 1.0 / steps
        scheduler.set_timesteps(steps)
        assert float(scheduler.sigmas[0]) == 1
        x = peer.noise()
        for time in scheduler.timesteps:
            said = flow.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(said, time, x).prev_sample
        plan = compile_recipe(baseline(f"flow_heun-{name}@{steps}", flow), flow)
        assert plan.nfe == 2 * steps - 1 == len(scheduler.timesteps)
        peer.assert_same(peer.ours(flow, f"flow_heun-{name}@{steps}"), x)


def test_flow_match_heun_written_as_repeated_times(flow: ExactDenoiser, peer: Any) -> None:
    """A step of its own at each evaluation; the first one at a time goes again, from before."""
    times = [time for time, _ in grid("flow-shift", flow.schedule, 5)]
    again = {"order": 2, "form": "velocity", "start_point": -2}
    steps = [{"time": times[0]}]
    for time in times[1:]:
        steps += [{"time": time, **again}, {"time": time}]
    data = {"version": 1, "model": model_key(flow).model_dump(), "steps": steps}
    plan = compile_recipe(Recipe.from_dict(data), flow)
    assert plan.nfe == 9
    assert torch.equal(peer.ours(flow, data), peer.ours(flow, "flow_heun-flow-shift@5"))
