"""DPM-Solver and DPM-Solver++, singlestep, of diffusers: runs that start again.

It too takes the grid's own points as the intermediate ones.
"""

import itertools
import sys
from typing import Any

import pytest
from diffusers import DPMSolverSinglestepScheduler

from autosearch.baselines import baseline
from autosearch.models.exact import ExactDenoiser

NAMED = {
    "dpmpp_2s": (2, "midpoint"),
    "dpmpp_3s": (3, "midpoint"),
    "taylor_3s": (3, "heun"),
}
FORM = {"midpoint": "dpmsolver", "heun": "taylor"}


@pytest.mark.parametrize("solver", NAMED)
def test_named_in_data_prediction(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    order, solver_type = NAMED[solver]
    scheduler = peer.scheduler(
        DPMSolverSinglestepScheduler, vp, solver_order=order, solver_type=solver_type
    )
    for steps in (*peer.counts, 6, 9):
        x = peer.theirs(scheduler, vp, steps)
        made = baseline(f"{solver}@{steps}", vp)
        assert [step.order for step in made.steps] == scheduler.order_list
        peer.assert_same(peer.ours(vp, f"{solver}@{steps}"), x)


@pytest.mark.parametrize("solver", ["dpm_2s", "dpm_3s"])
def test_named_in_noise_prediction(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    """To its own end, the noise level of time 0, where a last run of two may keep its order."""
    order = int(solver[4])
    scheduler = peer.scheduler(
        DPMSolverSinglestepScheduler,
        vp,
        solver_order=order,
        algorithm_type="dpmsolver",
        final_sigmas_type="sigma_min",
        lower_order_final=True,
    )
    for steps in (*peer.counts, 6, 9):
        data = baseline(f"{solver}@{steps}", vp).to_dict()
        data["end"] = vp.schedule.log_snr(0.0)
        if order == 3 and steps % 3 == 2:
            data["steps"][-1].update(order=2, prediction="noise", start_point=-2)
        peer.assert_same(peer.ours(vp, data), peer.theirs(scheduler, vp, steps))


@pytest.mark.parametrize("solver_type", FORM)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_every_order_and_type(
    prediction: str, order: int, solver_type: str, vp_noise: ExactDenoiser, peer: Any
) -> None:
    clean = prediction == "data"
    scheduler = peer.scheduler(
        DPMSolverSinglestepScheduler,
        vp_noise,
        solver_order=order,
        solver_type=solver_type,
        algorithm_type="dpmsolver++" if clean else "dpmsolver",
        final_sigmas_type="zero" if clean else "sigma_min",
        lower_order_final=True,
    )
    end = "clean" if clean else vp_noise.schedule.log_snr(0.0)
    for steps in peer.counts:
        x = peer.theirs(scheduler, vp_noise, steps)
        chosen = [
            {"order": k, "start_point": -k, "form": FORM[solver_type], "prediction": prediction}
            for k in scheduler.order_list
        ]
        data = peer.with_choices(vp_noise, "ddim-linspace-ms", chosen, end=end)
        peer.assert_same(peer.ours(vp_noise, data), x)


@pytest.mark.parametrize("solver", ["dpmpp_2s", "dpmpp_3s"])
def test_stochastic(
    solver: str, vp_noise: ExactDenoiser, monkeypatch: pytest.MonkeyPatch, peer: Any
) -> None:
    """Every step of a run adds its noise; the heun type of order 3 has diffusers' wrong half."""
    scheduler = peer.scheduler(
        DPMSolverSinglestepScheduler,
        vp_noise,
        solver_order=int(solver[6]),
        algorithm_type="sde-dpmsolver++",
    )
    module = sys.modules[DPMSolverSinglestepScheduler.__module__]
    for steps in peer.counts:
        data = baseline(f"{solver}@{steps}", vp_noise).to_dict()
        for step in data["steps"]:
            step["eta"] = 1
        drawn = itertools.count(1)
        monkeypatch.setattr(module, "randn_tensor", lambda *_, k=drawn, **__: peer.noise(next(k)))
        peer.assert_same(peer.ours(vp_noise, data), peer.theirs(scheduler, vp_noise, steps))
