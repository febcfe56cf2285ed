"""How near named solvers come to an exact flow that begins at pure noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
import torch

from autosearch._typing import Array
from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import RectifiedFlow
from autosearch.models.exact import ExactDenoiser, Mixture

__all__ = ["SOLVERS", "flows"]

SOLVERS = (
    "ddim",
    "dpmpp_2m",
    "dpmpp_3m",
    "taylor_3m",
    "deis_t_3",
    "dpmpp_2s",
    "dpmpp_3s",
    "taylor_3s",
    "unipc_1",
    "unipc",
    "unipc_3",
    "unipc_bh1",
    "unipc_noise",
    "heun",
    "flow_heun",
)
STEPS = (4, 6, 8, 10)
_SAMPLES = 20_000


def flows(
    solvers: Sequence[str] = SOLVERS,
    grids: Sequence[str] = ("flow", "flow-shift"),
    samples: int = _SAMPLES,
) -> dict[str, Any]:
    """For each solver and grid, Frechet distances to a mixture in 4, 6, 8 and 10 evaluations.

    The mixture is the model ``mixture``'s, of six components in eight dimensions, in double
    precision. Heun's methods get the steps that so many evaluations allow, one fewer where the
    number is even.
    """
    data = Mixture.random(components=6, dimension=8, seed=0)
    denoiser = ExactDenoiser(data, RectifiedFlow(), "flow", dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(samples, data.dimension, generator=generator, dtype=torch.float64)
    found: dict[str, Any] = {}
    for grid in grids:
        for solver in solvers:
            counts = [(k + 1) // 2 if "heun" in solver else k for k in STEPS]
            plans = [
                compile_recipe(baseline(f"{solver}-{grid}@{count}", denoiser), denoiser)
                for count in counts
            ]
            found[f"{solver}-{grid}"] = [
                round(_distance(sample(denoiser, plan, noise, None).numpy(), data), 5)
                for plan in plans
            ]
    return found


def _distance(x: Array, data: Mixture) -> float:
    """The Frechet distance of samples [N, D] to a mixture's own mean and covariance."""
    covariance = np.cov(x.T)
    root = scipy.linalg.sqrtm(covariance @ data.covariance).real
    spread = np.trace(covariance + data.covariance - 2 * root)
    return float(((x.mean(0) - data.mean) ** 2).sum() + spread)
