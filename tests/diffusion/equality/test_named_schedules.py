"""Named schedules beside those that diffusers makes of the same options."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from diffusers import (
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.cogview4.pipeline_cogview4 import calculate_shift as cogview4_mu
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from diffusers.schedulers.scheduling_utils import AysSchedules

from autosearch.diffusion.grids import GridPoint, grid
from autosearch.diffusion.schedules import NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

COUNTS = (1, 2, 3, 5, 8, 10, 20, 28, 50)
FLOW = RectifiedFlow()
SD = VariancePreserving("scaled_linear")


def assert_same(points: Sequence[GridPoint], schedule: NoiseSchedule, scheduler: Any) -> None:
    """Levels, by their half log-SNR, and the network's times."""
    steps = len(points)
    sigmas = scheduler.sigmas.double()[:steps]
    theirs = -sigmas.log() + (1 - sigmas).log() if schedule.family == "flow" else -sigmas.log()
    found = [schedule.log_snr(time) if level is None else level for time, level in points]
    assert found == pytest.approx(theirs.tolist(), abs=1e-6)
    unit = 1000 if schedule.family == "flow" else 1
    times = [time * unit for time, _ in points]
    assert times == pytest.approx(scheduler.timesteps.double().tolist()[:steps], abs=1e-6 * 999)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("exponential", EulerDiscreteScheduler, {"use_exponential_sigmas": True}),
        ("beta-diffusers", EulerDiscreteScheduler, {"use_beta_sigmas": True}),
        ("beta-diffusers", DPMSolverMultistepScheduler, {"use_beta_sigmas": True}),
        ("beta-diffusers", UniPCMultistepScheduler, {"use_beta_sigmas": True}),
    ],
)
def test_levels_of_betas(
    name: str, kind: type, options: dict[str, Any], vp_noise: ExactDenoiser, peer: Any
) -> None:
    schedule = vp_noise.schedule
    scheduler = peer.scheduler(kind, vp_noise, **options)
    # Their Euler has the levels between those of its even times, of which a single one is time 0.
    for steps in COUNTS[kind is EulerDiscreteScheduler :]:
        scheduler.set_timesteps(steps)
        points = grid(name, schedule, steps, whole=kind is not EulerDiscreteScheduler)
        assert_same(points, schedule, scheduler)


@pytest.mark.parametrize(
    ("grid_name", "key"),
    [
        ("ays-sd-diffusers", "StableDiffusionSigmas"),
        ("ays-sdxl-diffusers", "StableDiffusionXLSigmas"),
    ],
)
def test_align_your_steps_by_sigmas(
    grid_name: str, key: str, mixture: Mixture, exact: Any, peer: Any
) -> None:
    denoiser = exact(mixture, SD, "noise")
    scheduler = peer.scheduler(EulerDiscreteScheduler, denoiser)
    scheduler.set_timesteps(sigmas=AysSchedules[key])
    assert_same(grid(grid_name, SD, 10), SD, scheduler)


@pytest.mark.parametrize(
    ("grid_name", "key"),
    [
        ("ays-sd-times", "StableDiffusionTimesteps"),
        ("ays-sdxl-times", "StableDiffusionXLTimesteps"),
    ],
)
def test_align_your_steps_by_times(
    grid_name: str, key: str, mixture: Mixture, exact: Any, peer: Any
) -> None:
    denoiser = exact(mixture, SD, "noise")
    scheduler = peer.scheduler(DPMSolverMultistepScheduler, denoiser)
    scheduler.set_timesteps(timesteps=AysSchedules[key])
    assert_same(grid(grid_name, SD, 10), SD, scheduler)


LINE = {"use_dynamic_shifting": True}


@pytest.mark.parametrize(
    ("name", "options", "mu"),
    [
        ("flow-shift:5", {"shift": 5.0}, None),
        ("flow-shift:2:0.1", {"shift": 2.0, "shift_terminal": 0.1}, None),
        ("flow-dynamic:1024", LINE, lambda _: calculate_shift(1024)),
        ("flow-dynamic:9000", LINE, lambda _: calculate_shift(9000)),
        (
            "flow-dynamic-linear:4096",
            {**LINE, "time_shift_type": "linear"},
            lambda _: calculate_shift(4096),
        ),
        (
            "flow-ltx:3000",
            {**LINE, "shift_terminal": 0.1},
            lambda _: calculate_shift(3000, 1024, 4096, 0.95, 2.05),
        ),
        (
            "flow-qwen:4096",
            {**LINE, "shift_terminal": 0.02},
            lambda _: calculate_shift(4096, 256, 8192, 0.5, 0.9),
        ),
        ("flow-flux2:4096", LINE, lambda steps: compute_empirical_mu(4096, steps)),
        ("flow-flux2:6000", LINE, lambda steps: compute_empirical_mu(6000, steps)),
        ("beta-diffusers", {"shift": 3.0, "use_beta_sigmas": True}, None),
    ],
)
def test_flows(name: str, options: dict[str, Any], mu: Any) -> None:
    for steps in COUNTS:
        given = dict(options)
        if steps == 1:  # what has one time cannot be stretched, which diffusers tries
            given.pop("shift_terminal", None)
        scheduler = FlowMatchEulerDiscreteScheduler(**given)
        call = {} if mu is None else {"mu": mu(steps)}
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps), **call)
        assert_same(grid(name, FLOW, steps), FLOW, scheduler)


@pytest.mark.parametrize("tokens", [1024, 4096])
def test_cogview4(tokens: int) -> None:
    """Called as its pipeline does: with whole times, which stay, and levels, which are shifted."""
    scheduler = FlowMatchEulerDiscreteScheduler(
        base_shift=0.25, max_shift=0.75, time_shift_type="linear", use_dynamic_shifting=True
    )
    for steps in COUNTS:
        times = np.linspace(1000, 1.0, steps).astype(np.int64).astype(np.float64)
        scheduler.set_timesteps(timesteps=times, sigmas=times / 1000, mu=cogview4_mu(tokens))
        assert_same(grid(f"flow-cogview4:{tokens}", FLOW, steps), FLOW, scheduler)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("flow-shift-ms", UniPCMultistepScheduler),
        ("flow-shift-dpm", DPMSolverMultistepScheduler),
        ("flow-shift-dpm", DEISMultistepScheduler),
    ],
)
@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_flows_of_multistep_solvers(name: str, kind: type, shift: float) -> None:
    scheduler = kind(use_flow_sigmas=True, flow_shift=shift, prediction_type="flow_prediction")
    for steps in COUNTS:
        scheduler.set_timesteps(steps)
        assert_same(grid(f"{name}:{shift}", FLOW, steps), FLOW, scheduler)


def test_karras_levels_of_flows() -> None:
    scheduler = UniPCMultistepScheduler(
        use_flow_sigmas=True, use_karras_sigmas=True, sigma_max=200.0, sigma_min=0.01
    )
    for steps in COUNTS:
        scheduler.set_timesteps(steps)
        assert_same(grid("flow-karras:200:0.01", FLOW, steps), FLOW, scheduler)


def test_real_times_of_multistep_solvers_are_their_levels() -> None:
    for name in ("flow-shift-ms", "flow-shift-dpm"):
        whole, real = (grid(name, FLOW, 7, whole=one) for one in (True, False))
        for (cut, level), (time, own) in zip(whole, real, strict=True):
            assert own is None
            assert level is not None
            assert 0 <= time - cut < 1.001e-3
            assert 1 / (1 + math.exp(level)) == pytest.approx(min(time, 1 - 1e-6))
