"""Order 1: DDIM, with its eta.

``x' = (sigma'/sigma) x + alpha' (1 - exp(-h)) data`` (DPM-Solver++, Lu et al. 2022b, eq. 8 at
k = 1), which is DDIM (Song et al. 2021, eq. 12), Euler in sigma/alpha, and DPM-Solver-1.
"""

import math

from torch import Tensor

from autosearch.diffusion.solvers.state import Interval

__all__ = ["deterministic", "stochastic"]


def deterministic(x: Tensor, data: Tensor, interval: Interval) -> Tensor:
    """The exact solution for constant clean data; finite at infinite ends."""
    weight = -interval.next_alpha * math.expm1(-interval.h)
    return (interval.next_sigma / interval.sigma) * x + weight * data


def stochastic(x: Tensor, data: Tensor, interval: Interval, *, eta: float, noise: Tensor) -> Tensor:
    """DDIM eta (Song et al. 2021, eq. 16), written for any schedule.

    ``sigma_eta = eta * sigma' * sqrt(1 - exp(-2 h))`` for eta from 0 to 1; 1 is ancestral sampling.
    """
    added = eta * math.sqrt(-math.expm1(-2 * interval.h))
    kept = math.sqrt(1.0 - added**2)
    predicted = (x - interval.alpha * data) / interval.sigma
    mean = interval.next_alpha * data + interval.next_sigma * kept * predicted
    return mean + interval.next_sigma * added * noise
