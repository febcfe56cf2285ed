"""What a network is trained on: the times and the noise levels there.

A process is named as in the weights' metadata, `FAMILY_NAME` of
:func:`autosearch.diffusion.schedules.get_schedule`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autosearch.diffusion.schedules import VariancePreserving

__all__ = ["PROCESSES", "Process"]

LAST_TIME = 999.0


@dataclass(frozen=True)
class Process:
    """A forward process as training sees it.

    Attributes:
        times: shares in [0, 1) to the network's times, so that uniform shares give times of the
            training's distribution.
        levels: times to alpha and sigma, of the times' shape.
    """

    times: Callable[[Tensor], Tensor]
    levels: Callable[[Tensor], tuple[Tensor, Tensor]]


def _uniform_times(shares: Tensor) -> Tensor:
    return shares * LAST_TIME


def _linear_levels(times: Tensor) -> tuple[Tensor, Tensor]:
    """Linear betas (Ho et al., 2020) at real times in 0..999, in float64.

    Between integers log alpha is linear (Lu et al., 2022, appendix D.4). The schedule itself
    interpolates log-SNR instead: at integers the two agree, in the first unit of time sigma
    differs by up to 4%, and beyond time 3 by less than 0.6%.
    """
    alphas_cumprod = VariancePreserving("linear").alphas_cumprod
    log_alphas = 0.5 * torch.log(torch.from_numpy(alphas_cumprod))
    below = times.long().clamp(max=len(log_alphas) - 2)
    log_alpha = torch.lerp(log_alphas[below], log_alphas[below + 1], times.double() - below)
    return log_alpha.exp(), (-torch.expm1(2.0 * log_alpha)).sqrt()


def _logit_normal_times(shares: Tensor) -> Tensor:
    """Logit-normal with mean 0 and deviation 1 (Esser et al., 2024, section 3.1)."""
    normal: Tensor = torch.special.ndtri(shares.double())
    return normal.sigmoid().float()


def _flow_levels(times: Tensor) -> tuple[Tensor, Tensor]:
    return 1.0 - times, times


PROCESSES: Mapping[str, Process] = {
    "vp_linear": Process(_uniform_times, _linear_levels),
    "flow_rectified": Process(_logit_normal_times, _flow_levels),
}
