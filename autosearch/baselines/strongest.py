"""Which named recipes are known to be strong at how many steps, best first.

The one ranking behind the default baselines of a search. A name that this release or the model's
schedule does not have is passed over, so that an entry may be written before its solver or grid is.
"""

from collections.abc import Iterator
from typing import NamedTuple

from autosearch.baselines.solvers import SOLVERS
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["PLAIN", "Ranked", "own_solver", "strongest"]

# What a model without a scheduler is sampled with, and where the axes of a hypervolume begin.
PLAIN = "ddim"

# The solver of each scheduler of diffusers; of flows, whose grids are one scheduler's, too.
_SOLVER_OF = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "PNDMScheduler": "plms",
    "IPNDMScheduler": "ipndm",
    "LMSDiscreteScheduler": "lms",
    "EulerDiscreteScheduler": "euler",
    "EulerAncestralDiscreteScheduler": "euler_a",
    "HeunDiscreteScheduler": "heun",
    "KDPM2DiscreteScheduler": "dpm2",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
    "DPMSolverSinglestepScheduler": "dpmpp_2s",
    "DEISMultistepScheduler": "deis",
    "UniPCMultistepScheduler": "unipc",
    "SASolverScheduler": "sa_solver",
    "FlowMatchEulerDiscreteScheduler": "ddim",
    "FlowMatchHeunDiscreteScheduler": "flow_heun",
}


class Ranked(NamedTuple):
    """A name without its step count, and the least and the most steps at which it is strong."""

    name: str
    least: int = 1
    most: int = 1000


# Chen et al. (2024, GITS), CIFAR-10 on Karras levels: iPNDM has FID 13.6, 7.1 and 3.7 at 5, 6 and
# 8 evaluations, UniPC 24.0 at 5. The others by docs/results/solvers.md and README: the best of the
# whole zoo, or next to it, on `digits` or the mixture.
_FEW = (
    Ranked("ipndm-edm", 3, 7),
    Ranked("ddim_afs-leading-ms", 3, 3),
    Ranked("dpmpp_2m_afs-quadratic", 4, 7),
    Ranked("taylor_3s-quadratic", 4, 7),
    Ranked("dpmpp_2m-quadratic", 1, 7),
    Ranked("dpmpp_2m_afs-logsnr", 3, 7),
    Ranked("taylor_3s-logsnr", 4, 7),
    Ranked("dpmpp_2m-logsnr", 1, 7),
    Ranked("dpmpp_2m_afs_mean-quadratic", 4, 7),
    Ranked("dpmpp_2m-leading", 1, 7),
    Ranked("unipc-logsnr", 3, 7),
)
# The same tables. On CIFAR-10 UniPC and DPM-Solver++ of order 3 are level at 8 and 10 evaluations,
# FID 4.4 and 4.6, 3.2 and 3.1, and iPNDM is behind with 5.7 and 3.7 (GAS, 2025, one protocol for
# all). Heun's method is what Karras et al. (2022) use, from 18 steps on.
_MANY = (
    Ranked("dpmpp_3m-logsnr", 8),
    Ranked("unipc-quadratic", 8, 20),
    Ranked("unipc-logsnr", 8),
    Ranked("taylor_2m-logsnr", 8),
    Ranked("dpmpp_2m_afs_mean-quadratic", 8, 10),
    Ranked("heun-edm", 18),
    Ranked("ipndm-edm", 8, 20),
    Ranked("dpmpp_2m-logsnr", 8),
    Ranked("dpmpp_2m-karras", 8),
)
# What is selected in the menus of latent models, on the model's own grid: at 5 evaluations of
# Stable Diffusion 2.1 UniPC, DEIS and DPM-Solver++ are level (Zhao et al. 2024, mean squared error
# of latents .434, .436, .443); Karras levels at ten steps and more.
_MENU = (
    Ranked("unipc"),
    Ranked("dpmpp_2m"),
    Ranked("ipndm", 3, 10),
    Ranked("deis"),
    Ranked("dpmpp_2m-karras", 10),
    Ranked("dpmpp_2m-trailing"),
)
# docs/results/solvers.md, flows from pure noise, the exact mixture; docs/photos.md at 6 steps.
_FLOW = (
    Ranked("taylor_3s", 3, 6),
    Ranked("unipc_noise", 2, 9),
    Ranked("dpmpp_3s", 8),
    Ranked("unipc_bh1", 3),
    Ranked("unipc"),
    Ranked("unipc_3", 6),
    Ranked("deis_t_3", 3, 9),
    Ranked("dpmpp_2m"),
)


def strongest(denoiser: Denoiser, steps: int) -> Iterator[str]:
    """Names without their step count, of what is known to be strong at so many steps, best first.

    Args:
        denoiser: whose schedule they run on, and whether it came with a scheduler.
        steps: how many.
    """
    if denoiser.schedule.family == "flow":
        ranking = _FLOW
    else:
        ranking = (*(_MENU if denoiser.own_grids is not None else ()), *_FEW, *_MANY)
    for name, least, most in ranking:
        if least <= steps <= most and _exists(name, denoiser.schedule):
            yield name


def own_solver(denoiser: Denoiser) -> str:
    """The solver of the scheduler that a model came with; DDIM, where there is none of it."""
    solver = _SOLVER_OF.get(denoiser.own_scheduler or "", PLAIN)
    return solver if solver in SOLVERS else PLAIN


def _exists(name: str, schedule: NoiseSchedule) -> bool:
    solver, dash, grid = name.partition("-")
    return solver in SOLVERS and (not dash or grid in grids_for(schedule))
