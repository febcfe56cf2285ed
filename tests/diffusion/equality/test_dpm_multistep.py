"""DPM-Solver and DPM-Solver++, multistep, deterministic and stochastic, of diffusers."""

from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.models.exact import ExactDenoiser

FORM = {"midpoint": "dpmsolver", "heun": "taylor"}
SPACINGS = {"": "linspace", "-leading-ms": "leading", "-trailing": "trailing"}
# Order, solver type and algorithm of diffusers behind a name.
NAMED = {
    "dpmpp_2m": (2, "midpoint", "dpmsolver++"),
    "taylor_2m": (2, "heun", "dpmsolver++"),
    "dpmpp_3m": (3, "midpoint", "dpmsolver++"),
}
NAMED_NOISE = {"dpm_2m": 2, "dpm_3m": 3}


def choices(
    order: int, count: int, solver_type: str, *, clean: bool, **rest: object
) -> list[dict[str, Any]]:
    """What diffusers does at each step: lower orders at the start, and at the end if few steps.

    A last step to clean data is always of order 1; the third order has one form only.
    """
    steps = []
    for i in range(count):
        left = count - i
        last = left if count < 15 or (clean and left == 1) else order
        used = min(order, i + 1, last)
        form = "dpmsolver" if used == 3 else FORM[solver_type]
        steps.append({"order": used, "form": form, **rest})
    return steps


@pytest.mark.parametrize("solver", NAMED)
def test_named_in_data_prediction(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    order, solver_type, algorithm = NAMED[solver]
    for suffix, spacing in SPACINGS.items():
        scheduler = peer.scheduler(
            DPMSolverMultistepScheduler,
            vp,
            solver_order=order,
            solver_type=solver_type,
            algorithm_type=algorithm,
            timestep_spacing=spacing,
        )
        for steps in peer.counts:
            peer.assert_same(
                peer.ours(vp, f"{solver}{suffix}@{steps}"), peer.theirs(scheduler, vp, steps)
            )


@pytest.mark.parametrize("solver", NAMED_NOISE)
def test_named_in_noise_prediction(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    """To its own end, the noise level of time 0; from 15 steps on it keeps the order there."""
    scheduler = peer.scheduler(
        DPMSolverMultistepScheduler,
        vp,
        solver_order=NAMED_NOISE[solver],
        algorithm_type="dpmsolver",
        final_sigmas_type="sigma_min",
    )
    for steps in peer.counts:
        data = baseline(f"{solver}@{steps}", vp).to_dict()
        data["end"] = vp.schedule.log_snr(0.0)
        if steps >= 15:
            data["steps"][-1] = {**data["steps"][-2], "time": data["steps"][-1]["time"]}
        peer.assert_same(peer.ours(vp, data), peer.theirs(scheduler, vp, steps))


@pytest.mark.parametrize("solver_type", FORM)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_every_order_and_type(
    prediction: str, order: int, solver_type: str, vp_noise: ExactDenoiser, peer: Any
) -> None:
    clean = prediction == "data"
    scheduler = peer.scheduler(
        DPMSolverMultistepScheduler,
        vp_noise,
        solver_order=order,
        solver_type=solver_type,
        algorithm_type="dpmsolver++" if clean else "dpmsolver",
        final_sigmas_type="zero" if clean else "sigma_min",
    )
    end = "clean" if clean else vp_noise.schedule.log_snr(0.0)
    for steps in peer.counts:
        chosen = choices(order, steps, solver_type, clean=clean, prediction=prediction)
        data = peer.with_choices(vp_noise, "ddim-linspace-ms", chosen, end=end)
        peer.assert_same(peer.ours(vp_noise, data), peer.theirs(scheduler, vp_noise, steps))


@pytest.mark.parametrize("solver", ["dpmpp_2m", "dpmpp_3m"])
def test_karras(solver: str, vp_noise: ExactDenoiser, peer: Any) -> None:
    scheduler = peer.scheduler(
        DPMSolverMultistepScheduler,
        vp_noise,
        solver_order=NAMED[solver][0],
        use_karras_sigmas=True,
    )
    # Whole times are scarce where the cosine schedule is noisiest.
    for steps in (2, 3, 4, 5) if vp_noise.schedule.name == "cosine" else peer.counts:
        x = peer.theirs(scheduler, vp_noise, steps)
        peer.assert_same(peer.ours(vp_noise, f"{solver}-karras@{steps}"), x)


class Mended(DPMSolverMultistepScheduler):
    """Its third-order stochastic step has the wrong sign before a half.

    The factor of the second difference is ``1 / 2 - phi_2 / (2 h)``, which vanishes with h as in
    the deterministic step; diffusers has 1 less, which makes it of first order.
    """

    def multistep_dpm_solver_third_order_update(
        self, model_output_list: list[Tensor], *args: Any, **kwargs: Any
    ) -> Tensor:
        x = super().multistep_dpm_solver_third_order_update(model_output_list, *args, **kwargs)
        sigmas = self.sigmas[self.step_index - 2 : self.step_index + 2]
        log_snrs = -torch.log(sigmas)
        r1, r0 = log_snrs.diff()[:2] / log_snrs.diff()[2]
        m2, m1, m0 = model_output_list[-3:]
        second = ((m0 - m1) / r0 - (m1 - m2) / r1) / (r0 + r1)
        return x + second / torch.sqrt(1 + sigmas[-1] ** 2)


@pytest.mark.parametrize("solver", ["dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_named_stochastic(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    """The third order's warming-up steps are the midpoint ones in both."""
    scheduler = peer.scheduler(
        Mended, vp, solver_order=int(solver[6]), algorithm_type="sde-dpmsolver++"
    )
    for steps in peer.counts:
        x = peer.theirs(scheduler, vp, steps, variance_noise=True)
        peer.assert_same(peer.ours(vp, f"{solver}@{steps}"), x)


@pytest.mark.parametrize("solver_type", FORM)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_stochastic(
    prediction: str, order: int, solver_type: str, vp_noise: ExactDenoiser, peer: Any
) -> None:
    clean = prediction == "data"
    scheduler = peer.scheduler(
        DPMSolverMultistepScheduler,
        vp_noise,
        solver_order=order,
        solver_type=solver_type,
        algorithm_type="sde-dpmsolver++" if clean else "sde-dpmsolver",
        final_sigmas_type="zero" if clean else "sigma_min",
    )
    end = "clean" if clean else vp_noise.schedule.log_snr(0.0)
    for steps in peer.counts:
        chosen = choices(order, steps, solver_type, clean=clean, prediction=prediction, eta=1.0)
        data = peer.with_choices(vp_noise, "ddim-linspace-ms", chosen, end=end)
        x = peer.theirs(scheduler, vp_noise, steps, variance_noise=True)
        peer.assert_same(peer.ours(vp_noise, data), x)
