"""Samples on the grids of a model's own scheduler, and on grids that round their times."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.schedules import ZERO_SNR_FLOOR
from autosearch.models.diffusers.scheduler_grids import SchedulerGrids
from autosearch.models.exact import ExactDenoiser, Mixture

Make = Callable[..., ExactDenoiser]
Config = dict[str, Any]
TABLES: Mapping[str, Config] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
SPACED = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas")
COUNTS = (1, 2, 5, 10, 20)


@pytest.fixture
def own(mixture: Mixture, exact: Make) -> Callable[..., ExactDenoiser]:
    """An exact denoiser of a configuration's noise, with the grids of its scheduler."""

    def make(config: Config, **options: Any) -> ExactDenoiser:
        grids = SchedulerGrids(config, **options)
        denoiser = exact(mixture, grids.schedule, grids.prediction)
        denoiser.own_grids = grids
        return denoiser

    return make


@pytest.mark.parametrize("end", ["zero", "sigma_min"])
@pytest.mark.parametrize("spaced", SPACED)
@pytest.mark.parametrize("betas", TABLES)
def test_spaced_levels(betas: str, spaced: str, end: str, own: Any, peer: Any) -> None:
    """Times stand twice where they are rounded, and a last step may end where it begins."""
    config = {**TABLES[betas], spaced: True, "final_sigmas_type": end}
    solvers = {"dpmpp_2m": DPMSolverMultistepScheduler}
    if spaced != "use_lu_lambdas":  # which UniPC lacks
        solvers["unipc"] = UniPCMultistepScheduler
    for name, kind in solvers.items():
        denoiser = own({"_class_name": kind.__name__, **config})
        for steps in (*COUNTS, 79) if spaced == "use_karras_sigmas" else COUNTS:
            theirs = peer.theirs(kind(**config), denoiser, steps)
            peer.assert_same(peer.ours(denoiser, f"{name}@{steps}"), theirs)


@pytest.mark.parametrize("betas", TABLES)
def test_named_karras_grid(betas: str, mixture: Mixture, own: Any, peer: Any) -> None:
    denoiser = own({"_class_name": "DDIMScheduler", **TABLES[betas]})
    scheduler = DPMSolverMultistepScheduler(**TABLES[betas], use_karras_sigmas=True)
    for steps in (1, 2, 6, 10, 45, 79, 100):
        theirs = peer.theirs(scheduler, denoiser, steps)
        peer.assert_same(peer.ours(denoiser, f"dpmpp_2m-karras@{steps}"), theirs)


ZERO_SNR = {
    **TABLES["scaled_linear"],
    "rescale_betas_zero_snr": True,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}


@pytest.mark.parametrize(
    ("solver", "kind"),
    [
        ("ddim", DDIMScheduler),
        ("euler", EulerDiscreteScheduler),
        ("dpmpp_2m", DPMSolverMultistepScheduler),
        ("unipc", UniPCMultistepScheduler),
    ],
)
def test_zero_terminal_snr(solver: str, kind: type, own: Any, peer: Any) -> None:
    """DDIM starts at pure noise, solvers in sigma a little below."""
    denoiser = own({"_class_name": kind.__name__, **ZERO_SNR})
    assert denoiser.schedule.alphas_cumprod[-1] == 0
    for steps in (1, 2, 4, 5, 10, 20):
        scheduler = kind(**ZERO_SNR, **({"clip_sample": False} if solver == "ddim" else {}))
        theirs = peer.theirs(scheduler, denoiser, steps)
        peer.assert_same(peer.ours(denoiser, f"{solver}@{steps}"), theirs)
        if steps > 2 and solver in ("dpmpp_2m", "unipc"):
            # The named grid starts at pure noise, which has that level for what looks back at it.
            peer.assert_same(peer.ours(denoiser, f"{solver}-trailing@{steps}"), theirs)


@pytest.mark.parametrize(
    ("solver", "kind", "options"),
    [
        ("dpmpp_2m", DPMSolverMultistepScheduler, {}),
        ("dpmpp_3m", DPMSolverMultistepScheduler, {"solver_order": 3}),
        ("unipc", UniPCMultistepScheduler, {}),
        ("unipc_3", UniPCMultistepScheduler, {"solver_order": 3}),
    ],
)
def test_named_grids_from_zero_terminal_snr(
    solver: str, kind: type, options: dict[str, Any], own: Any, peer: Any
) -> None:
    """From pure noise itself: it has diffusers' level where later steps look back at it."""
    denoiser = own({"_class_name": "DDIMScheduler", **ZERO_SNR})
    for steps in (4, 5, 10, 20):
        theirs = peer.theirs(kind(**ZERO_SNR, **options), denoiser, steps)
        named = baseline(f"{solver}-trailing@{steps}", denoiser)
        plan = compile_recipe(named, denoiser)
        assert named.steps[0].log_snr is None
        assert plan.steps[0].log_snr == ZERO_SNR_FLOOR
        peer.assert_same(peer.ours(denoiser, f"{solver}-trailing@{steps}"), theirs)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_shifted_snr(shift: float, zero: bool, own: Any, peer: Any) -> None:
    """CogVideoX: the signal-to-noise ratio is divided at every time."""
    config = {**ZERO_SNR, "snr_shift_scale": shift, "rescale_betas_zero_snr": zero}
    # Its table is in double precision already.
    scheduler = CogVideoXDDIMScheduler(**config, clip_sample=False)
    denoiser = own({"_class_name": "CogVideoXDDIMScheduler", **config})
    table = scheduler.alphas_cumprod.double().numpy()
    assert denoiser.schedule.alphas_cumprod == pytest.approx(table, rel=1e-9, abs=1e-15)
    for steps in (1, 2, 5, 10, 20):
        theirs = peer.theirs(scheduler, denoiser, steps)
        peer.assert_same(peer.ours(denoiser, f"ddim@{steps}"), theirs)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("offset", [0, 1])
def test_offsets_and_ends_of_ddim(offset: int, whole: bool, own: Any, peer: Any) -> None:
    config = {
        **TABLES["scaled_linear"],
        "steps_offset": offset,
        "set_alpha_to_one": whole,
        "clip_sample": False,
    }
    denoiser = own({"_class_name": "DDIMScheduler", **config})
    for steps in (1, 2, 5, 10, 20, 50):
        theirs = peer.theirs(DDIMScheduler(**config), denoiser, steps)
        peer.assert_same(peer.ours(denoiser, f"ddim@{steps}"), theirs)


WAN = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}


@pytest.mark.parametrize("shift", [3.0, 5.0])
@pytest.mark.parametrize(
    ("solver", "kind"),
    [("unipc", UniPCMultistepScheduler), ("dpmpp_2m", DPMSolverMultistepScheduler)],
)
def test_flows_of_solvers_of_betas(
    solver: str, kind: type, shift: float, own: Any, peer: Any
) -> None:
    """The network is given whole thousandths, as by the pipelines of Wan and Sana."""
    config = {**WAN, "flow_shift": shift}
    denoiser = own({"_class_name": kind.__name__, **config})
    for steps in (1, 2, 4, 10, 20, 50):
        scheduler = kind(**config)
        scheduler.set_timesteps(steps)
        x = peer.noise()
        for time in scheduler.timesteps:
            output = denoiser.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        peer.assert_same(peer.ours(denoiser, f"{solver}@{steps}"), x)


def test_flow_stretched_to_its_terminal(own: Any, peer: Any) -> None:
    """Qwen-Image: dynamic shift, then the levels stretched to end at 0.02."""
    config = {
        "base_shift": 0.5,
        "max_shift": 0.9,
        "max_image_seq_len": 8192,
        "shift_terminal": 0.02,
        "use_dynamic_shifting": True,
    }
    denoiser = own(
        {"_class_name": "FlowMatchEulerDiscreteScheduler", **config}, tokens=4096, even=True
    )
    for steps in (2, 4, 10, 50):
        scheduler = FlowMatchEulerDiscreteScheduler(**config)
        even = torch.linspace(1, 1 / steps, steps).tolist()
        scheduler.set_timesteps(sigmas=even, mu=0.5 + 0.4 * (4096 - 256) / (8192 - 256))
        x = peer.noise()
        for time in scheduler.timesteps:
            output = denoiser.denoise(x, float(time) / 1000, None)["cond"]
            x = scheduler.step(output, time, x).prev_sample
        peer.assert_same(peer.ours(denoiser, f"euler@{steps}"), x)
