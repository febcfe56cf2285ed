"""DEIS of diffusers, which is the version in the log of sigma/alpha.

It ends at the noise level of time 0 instead of clean data, and from 15 steps on keeps its order
in the last step; our named solvers end at clean data, with a last step of order 1.
"""

from typing import Any

import pytest
from diffusers import DEISMultistepScheduler

from autosearch.baselines import baseline
from autosearch.models.exact import ExactDenoiser

NAMED = {"ddim-linspace-ms": 1, "deis": 2, "deis_3": 3}
SPACINGS = {"linspace-ms": "linspace", "leading-ms": "leading", "trailing": "trailing"}


def to_time_0(denoiser: ExactDenoiser, name: str, steps: int) -> dict[str, Any]:
    data = baseline(f"{name}@{steps}", denoiser).to_dict()
    data["end"] = denoiser.schedule.log_snr(0.0)
    if steps >= 15:
        data["steps"][-1] = {**data["steps"][-2], "time": data["steps"][-1]["time"]}
    return data


@pytest.mark.parametrize("solver", NAMED)
def test_named_to_time_0(solver: str, vp: ExactDenoiser, peer: Any) -> None:
    scheduler = peer.scheduler(DEISMultistepScheduler, vp, solver_order=NAMED[solver])
    for steps in peer.counts:
        peer.assert_same(
            peer.ours(vp, to_time_0(vp, solver, steps)), peer.theirs(scheduler, vp, steps)
        )


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("solver", ["deis", "deis_3"])
def test_spacings(solver: str, spacing: str, vp_noise: ExactDenoiser, peer: Any) -> None:
    scheduler = peer.scheduler(
        DEISMultistepScheduler,
        vp_noise,
        solver_order=NAMED[solver],
        timestep_spacing=SPACINGS[spacing],
    )
    suffix = "" if spacing == "linspace-ms" else f"-{spacing}"
    for steps in peer.counts:
        data = to_time_0(vp_noise, f"{solver}{suffix}", steps)
        peer.assert_same(peer.ours(vp_noise, data), peer.theirs(scheduler, vp_noise, steps))
