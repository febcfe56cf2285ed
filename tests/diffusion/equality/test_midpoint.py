"""DPM2 of diffusers, and as it runs on flows."""

import itertools
import math
from typing import Any

import pytest
from diffusers import KDPM2DiscreteScheduler

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.models.exact import Mixture

# Of the noise the clean data of the cosine's first level, a sigma of 24,000, follow with more than
# nine digits only.
KINDS = [("linear", "noise"), ("scaled_linear", "noise"), ("linear", "v"), ("cosine", "v")]


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_dpm2(spacing: str, mixture: Mixture, exact: Any, peer: Any) -> None:
    """Also as expensive: 2 K - 1 evaluations for K steps."""
    for betas, said in KINDS:
        vp = exact(mixture, VariancePreserving(betas), said)
        scheduler = peer.scheduler(KDPM2DiscreteScheduler, vp, timestep_spacing=spacing)
        suffix = "" if spacing == "linspace" else f"-{spacing}"
        for steps in peer.counts:
            name = f"dpm2{suffix}@{steps}"
            peer.assert_same(peer.ours(vp, name), peer.theirs(scheduler, vp, steps))
            plan = compile_recipe(baseline(name, vp), vp)
            assert plan.nfe == 2 * steps - 1 == len(scheduler.timesteps)


def test_dpm2_karras(mixture: Mixture, exact: Any, peer: Any) -> None:
    denoiser = exact(mixture, VariancePreserving(), "noise")
    scheduler = peer.scheduler(KDPM2DiscreteScheduler, denoiser, use_karras_sigmas=True)
    for steps in (2, 5, 10):
        # They ask the network at rounded times on the grid, and at real ones between.
        theirs = peer.theirs(scheduler, denoiser, steps)
        data = baseline(f"dpm2-karras@{steps}", denoiser).to_dict()
        for step in data["steps"][::2]:
            exactly = step["time"]
            step |= {
                "time": float(round(exactly)),
                "log_snr": denoiser.schedule.log_snr(exactly),
            }
        peer.assert_same(peer.ours(denoiser, data), theirs)


def test_on_flows(mixture: Mixture, exact: Any, peer: Any) -> None:
    """k-diffusion's steps, whose derivative is the velocity there."""
    flow = exact(mixture, RectifiedFlow(), "flow")
    for steps in peer.counts:
        x = peer.noise()
        times = [1 - i / steps for i in range(steps)] + [0.0]
        for time, end in itertools.pairwise(times):
            slope = flow.denoise(x, time, None)["cond"]
            if end > 0:
                middle = math.sqrt(time * end)
                slope = flow.denoise(x + (middle - time) * slope, middle, None)["cond"]
            x = x + (end - time) * slope
        peer.assert_same(peer.ours(flow, f"dpm2@{steps}"), x)
