"""Polynomials through given values, in the form of Lagrange, and their integrals.

DEIS integrates polynomials of the noise in time or in sigma/alpha (Zhang & Chen 2023):
``x' = (alpha'/alpha) x + alpha' sum_j c_j noise_j`` with ``c_j`` the integral of the j-th Lagrange
polynomial over ``rho = sigma / alpha``: tAB-DEIS in time, rhoAB-DEIS in rho. In log rho, which is
minus the log-SNR, it is the Taylor form of noise prediction.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["lagrange_basis", "lagrange_weights", "polynomial_weights"]

# Far more than the polynomials need; the time of a discrete schedule has kinks in rho.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def lagrange_basis(nodes: Sequence[float], which: int, at: Any) -> Any:
    """The polynomial that is 1 at one of the nodes and 0 at the others, at a number or an array."""
    own, value = nodes[which], 1.0
    for i, other in enumerate(nodes):
        if i != which:
            value = value * ((at - other) / (own - other))
    return value


def lagrange_weights(
    start: float,
    end: float,
    log_snrs: Sequence[float],
    coordinate: Callable[[float], float],
) -> list[float]:
    """``c_j`` over the step in units of rho at its end, one for each evaluation.

    Args:
        start: half log-SNR, log(alpha/sigma), at the start of the step, finite.
        end: half log-SNR at its end, finite.
        log_snrs: half log-SNR of each evaluation.
        coordinate: what the polynomials are in, as a function of the half log-SNR.
    """
    # The integral runs over log rho, where both ends weigh alike on long steps.
    half = (end - start) / 2
    at = start + half * (_NODES + 1)
    measure = half * _WEIGHTS * np.exp(end - at)
    points = np.array([coordinate(value) for value in at.tolist()])
    nodes = [coordinate(value) for value in log_snrs]
    ones = np.ones_like(points)
    return [-float(measure @ (lagrange_basis(nodes, j, points) * ones)) for j in range(len(nodes))]


def polynomial_weights(start: float, end: float, nodes: Sequence[float]) -> list[float]:
    """The integral of each Lagrange polynomial through some nodes, from one number to another."""
    half = (end - start) / 2
    at = start + half * (_NODES + 1)
    ones = np.ones_like(at)
    return [
        half * float(_WEIGHTS @ (lagrange_basis(nodes, j, at) * ones)) for j in range(len(nodes))
    ]
