"""Times and levels of diffusers' schedulers."""

from typing import Any

import numpy as np
import pytest
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)

from autosearch.diffusion.grids import grid
from autosearch.diffusion.schedules import RectifiedFlow, VariancePreserving
from autosearch.models.exact import Mixture

GRIDS = [
    ("leading", DDIMScheduler, "leading", True),
    ("linspace", DDIMScheduler, "linspace", True),
    ("trailing", DDIMScheduler, "trailing", True),
    ("leading-ms", DPMSolverMultistepScheduler, "leading", True),
    ("linspace-ms", DPMSolverMultistepScheduler, "linspace", True),
    ("trailing", DPMSolverMultistepScheduler, "trailing", True),
    ("linspace", EulerDiscreteScheduler, "linspace", False),
    ("leading", EulerDiscreteScheduler, "leading", False),
    ("trailing", EulerDiscreteScheduler, "trailing", False),
]


@pytest.mark.parametrize(("name", "kind", "spacing", "whole"), GRIDS)
def test_grids(name: str, kind: type, spacing: str, whole: bool) -> None:
    scheduler = kind(timestep_spacing=spacing)
    schedule = VariancePreserving()
    for steps in [*range(1, 60), 96, 100, 103, 112, 250, 333, 500, 999]:
        scheduler.set_timesteps(steps)
        theirs = scheduler.timesteps.double().tolist()[:steps]
        times = [time for time, _ in grid(name, schedule, steps, whole=whole)]
        assert times == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("name", ["linear", "scaled_linear"])
def test_karras_grid(name: str, mixture: Mixture, exact: Any, peer: Any) -> None:
    """That of the cosine schedule is rounded otherwise, and compared by its samples."""
    denoiser = exact(mixture, VariancePreserving(name), "noise")
    scheduler = peer.scheduler(DPMSolverMultistepScheduler, denoiser, use_karras_sigmas=True)
    for steps in (1, 2, 3, 5, 8, 10, 20, 40):
        scheduler.set_timesteps(steps)
        points = grid("karras", denoiser.schedule, steps)
        assert [time for time, _ in points] == scheduler.timesteps.tolist()
        log_snrs = -scheduler.sigmas[:-1].log()
        assert [log_snr for _, log_snr in points] == pytest.approx(log_snrs.tolist(), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "shift", "alone"),
    [("flow", 1.0, False), ("flow-shift", 3.0, False), ("flow-shift-linspace", 3.0, True)],
)
def test_flow_grids(name: str, shift: float, alone: bool) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    for steps in (1, 2, 3, 5, 8, 20, 28, 50, 100):
        if alone:
            scheduler.set_timesteps(steps)
        else:
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps).tolist())
        times = [time for time, _ in grid(name, RectifiedFlow(), steps)]
        assert times == pytest.approx(scheduler.sigmas[:-1].tolist(), abs=1e-6)
        assert times == pytest.approx((scheduler.timesteps / 1000).tolist(), abs=1e-6)
