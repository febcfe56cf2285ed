"""Heun's method of diffusers, in sigma and in the time of flow models."""

from collections.abc import Callable
from typing import Any

import pytest
from diffusers import HeunDiscreteScheduler

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import VariancePreserving
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
