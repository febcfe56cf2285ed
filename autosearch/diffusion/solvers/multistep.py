"""Order 2 multistep: the exponential integrator with one divided difference.

Both forms of DPM-Solver-2M and DPM-Solver++(2M) (Lu et al. 2022a, 2022b) in noise and in data
prediction. With ``D = (m_0 - m_1) / r``, ``r`` the last step over this one in log-SNR:

    data:   x' = (sigma'/sigma) x - alpha' expm1(-h) m_0 + alpha' w(-h) D
    noise:  x' = (alpha'/alpha) x - sigma' expm1(h) m_0 - sigma' w(h) D
    taylor:     w(z) = (expm1(z) - z) / |h|, the exact integral of a linear m
    dpmsolver:  w(z) = |expm1(z)| / 2, the published form, equal to order h**2
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import Tensor

from autosearch.diffusion.solvers.state import Evaluation, Interval

__all__ = ["WEIGHTS", "second_order"]


def _dpmsolver(z: float) -> float:
    return abs(math.expm1(z)) / 2


def _taylor(z: float) -> float:
    # Near 0 the difference cancels: two terms of the series are exact to 1e-16 there.
    return abs(z) * (0.5 + z / 6) if abs(z) < 1e-8 else (math.expm1(z) - z) / abs(z)


WEIGHTS: Mapping[str, Callable[[float], float]] = {"dpmsolver": _dpmsolver, "taylor": _taylor}


def second_order(
    x: Tensor,
    history: Sequence[Evaluation],
    interval: Interval,
    *,
    prediction: Literal["noise", "data"],
    form: str,
) -> Tensor:
    """One step from the last two evaluations, newest last, both at finite log-SNR."""
    previous, newest = history[-2], history[-1]
    h = interval.h
    ratio = (newest.log_snr - previous.log_snr) / h
    weight = WEIGHTS[form]
    if prediction == "data":
        base = (interval.next_sigma / interval.sigma) * x
        first = -interval.next_alpha * math.expm1(-h)
        second = interval.next_alpha * weight(-h) / ratio
        return base + (first + second) * newest.data - second * previous.data
    assert newest.noise is not None
    assert previous.noise is not None
    base = (interval.next_alpha / interval.alpha) * x
    first = -interval.next_sigma * math.expm1(h)
    second = -interval.next_sigma * weight(h) / ratio
    return base + (first + second) * newest.noise - second * previous.noise
