"""UniPC of diffusers."""

from typing import Any

import pytest
from diffusers import UniPCMultistepScheduler

from autosearch.baselines import baseline
from autosearch.models.exact import ExactDenoiser

NAMED = {
    "unipc_1": (1, "bh2"),
    "unipc": (2, "bh2"),
    "unipc_3": (3, "bh2"),
    "unipc_bh1_1": (1, "bh1"),
    "unipc_bh1": (2, "bh1"),
    "unipc_bh1_3": (3, "bh1"),
}
SPACINGS = {"": "linspace", "-leading-ms": "leading", "-trailing": "trailing"}


@pytest.mark.parametrize("solver", NAMED)
def test_named(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    """Diffusers' bh1 takes the infinite length of a step to clean data times 0, which is NaN."""
    order, solver_type = NAMED[solver]
    clean = solver_type == "bh2"
    scheduler = peer.scheduler(
        UniPCMultistepScheduler,
        vp,
        solver_order=order,
        solver_type=solver_type,
        final_sigmas_type="zero" if clean else "sigma_min",
    )
    for steps in peer.counts:
        data = baseline(f"{solver}@{steps}", vp).to_dict()
        data["end"] = "clean" if clean else vp.schedule.log_snr(0.0)
        peer.assert_same(peer.ours(vp, data), peer.theirs(scheduler, vp, steps))


@pytest.mark.parametrize("suffix", SPACINGS)
def test_spacings(suffix: str, vp_noise: ExactDenoiser, peer: Any) -> None:
    scheduler = peer.scheduler(UniPCMultistepScheduler, vp_noise, timestep_spacing=SPACINGS[suffix])
    for steps in peer.counts:
        x = peer.theirs(scheduler, vp_noise, steps)
        peer.assert_same(peer.ours(vp_noise, f"unipc{suffix}@{steps}"), x)


@pytest.mark.parametrize("solver", NAMED)
def test_in_noise_prediction(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    """To the noise level of time 0: to clean data diffusers' formula is 0 times infinity."""
    order, solver_type = NAMED[solver]
    scheduler = peer.scheduler(
        UniPCMultistepScheduler,
        vp,
        solver_order=order,
        solver_type=solver_type,
        predict_x0=False,
        final_sigmas_type="sigma_min",
    )
    for steps in peer.counts:
        data = baseline(f"{solver}@{steps}", vp).to_dict()
        for step in data["steps"]:
            step["prediction"] = "noise"
        data["end"] = vp.schedule.log_snr(0.0)
        x = peer.theirs(scheduler, vp, steps)
        peer.assert_same(peer.ours(vp, data), x)
        if solver == "unipc":
            named = baseline(f"unipc_noise@{steps}", vp).to_dict()
            peer.assert_same(peer.ours(vp, {**named, "end": data["end"]}), x)


def test_corrector_left_out(vp_noise: ExactDenoiser, peer: Any) -> None:
    """As at large guidance: the first step is not corrected."""
    scheduler = peer.scheduler(UniPCMultistepScheduler, vp_noise, disable_corrector=[0])
    for steps in peer.counts:
        data = baseline(f"unipc@{steps}", vp_noise).to_dict()
        del data["steps"][0]["corrector"]
        peer.assert_same(peer.ours(vp_noise, data), peer.theirs(scheduler, vp_noise, steps))
