"""Diffusers' schedulers beside our plans: same exact denoiser, same noise.

Diffusers keeps its tables and the state in single precision, which costs it up to three digits of
the clean data at high noise; here its modules are made to compute in double precision.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

KINDS = (
    DDIMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
    KDPM2DiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)
BETAS: Mapping[str, Mapping[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
THEIR_NAME = {"noise": "epsilon", "v": "v_prediction", "data": "sample"}
# What the nine digits of a recipe's explicit log-SNRs leave.
TOLERANCE = 1e-6


class DoublePrecision:
    """A module such as torch or numpy in which ``float32`` means ``float64``."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, "float64" if name == "float32" else name)


@pytest.fixture(autouse=True)
def _double_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in KINDS:
        module = sys.modules[kind.__module__]
        monkeypatch.setattr(module, "torch", DoublePrecision(torch))
        monkeypatch.setattr(module, "np", DoublePrecision(np), raising=False)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


@pytest.fixture(params=[f"{name}-{said}" for name in BETAS for said in THEIR_NAME])
def vp(request: pytest.FixtureRequest, mixture: Mixture, exact: Any) -> ExactDenoiser:
    """An exact denoiser of each table of betas and each kind of prediction."""
    name, said = request.param.split("-")
    return exact(mixture, VariancePreserving(name), said)


@pytest.fixture(params=BETAS)
def vp_noise(request: pytest.FixtureRequest, mixture: Mixture, exact: Any) -> ExactDenoiser:
    """One of each table of betas, in noise prediction."""
    return exact(mixture, VariancePreserving(request.param), "noise")


class Peer:
    """Their samples and ours, and the comparison."""

    # On both sides of the 15 steps where diffusers changes its habits.
    counts = (1, 2, 3, 4, 5, 7, 10, 20)

    def noise(self, k: int = 0) -> Tensor:
        """[6, 3]; ``k``: 0 for the start, from 1 on for the steps."""
        generator = torch.Generator().manual_seed(7 + k)
        return torch.randn(6, 3, generator=generator, dtype=torch.float64)

    def scheduler(self, kind: type, denoiser: ExactDenoiser, **options: object) -> Any:
        """A scheduler of diffusers for a variance-preserving denoiser."""
        said = THEIR_NAME[denoiser.prediction]
        return kind(**BETAS[denoiser.schedule.name], prediction_type=said, **options)

    def theirs(
        self, scheduler: Any, denoiser: ExactDenoiser, steps: int, *, variance_noise: bool = False
    ) -> Tensor:
        """What a scheduler of diffusers makes of a denoiser."""
        scheduler.set_timesteps(steps)
        if hasattr(scheduler, "set_begin_index"):
            # Where the first time stands twice, they would begin at its second place.
            scheduler.set_begin_index(0)
        x = self.noise() * scheduler.init_noise_sigma
        for k, time in enumerate(scheduler.timesteps, start=1):
            scaled = scheduler.scale_model_input(x, time)
            output = denoiser.denoise(scaled, float(time), None)["cond"]
            options = {"variance_noise": self.noise(k)} if variance_noise else {}
            x = scheduler.step(output, time, x, **options).prev_sample
        return x

    def ours(self, denoiser: ExactDenoiser, recipe: str | Mapping[str, Any]) -> Tensor:
        """What a baseline, by name, or a recipe makes of it."""
        made = baseline(recipe, denoiser) if isinstance(recipe, str) else Recipe.from_dict(recipe)
        plan = compile_recipe(made, denoiser)
        return sample(denoiser, plan, self.noise(), None, step_noise=self.noise)

    def with_choices(
        self,
        denoiser: ExactDenoiser,
        name: str,
        choices: Sequence[Mapping[str, Any]],
        *,
        end: float | str = "clean",
    ) -> dict[str, Any]:
        """A recipe on the grid of a baseline, with the solver's choices given for each step."""
        data = baseline(f"{name}@{len(choices)}", denoiser).to_dict()
        data["steps"] = [
            {key: step[key] for key in ("time", "log_snr") if key in step} | dict(chosen)
            for step, chosen in zip(data["steps"], choices, strict=True)
        ]
        return {**data, "end": end}

    def assert_same(self, one: Tensor, other: Tensor) -> None:
        """Equality relative to the largest number."""
        assert other.isfinite().all()
        assert float((one - other).abs().max() / other.abs().max()) < TOLERANCE


@pytest.fixture(scope="session")
def peer() -> Peer:
    """Diffusers beside us."""
    return Peer()
