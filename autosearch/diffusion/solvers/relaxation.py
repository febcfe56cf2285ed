"""Factors ``1 + O(h)`` on the first derivative: what sets most second-order solvers apart.

The kinds of the unified sampling framework (Liu et al. 2024). With ``z = h`` in noise and
``z = -h`` in data prediction; ``linear`` takes ``h`` itself in both, as its released code does.
"""

import math
from collections.abc import Callable, Mapping

from autosearch.diffusion.solvers.phi import phi

__all__ = ["RELAXATIONS", "relaxed"]


def _linear(z: float, coefficient: float) -> float:
    return 1.0 + coefficient * abs(z)


def _exp(z: float, coefficient: float) -> float:
    return 1.0 + coefficient * math.expm1(z)


def _unipc_bh1(z: float, coefficient: float) -> float:
    """UniPC's second order with ``B(h) = h`` (Zhao et al. 2023)."""
    return 0.5 / phi(2, z)


def _unipc_bh2(z: float, coefficient: float) -> float:
    """UniPC's with ``B(h) = exp(h) - 1``, which is DPM-Solver's second order."""
    return 0.5 * phi(1, z) / phi(2, z)


RELAXATIONS: Mapping[str, Callable[[float, float], float]] = {
    "linear": _linear,
    "exp": _exp,
    "unipc_bh1": _unipc_bh1,
    "unipc_bh2": _unipc_bh2,
}


def relaxed(relaxation: tuple[str, float] | None, z: float) -> float:
    """The factor of a kind and coefficient; 1 for none."""
    return 1.0 if relaxation is None else RELAXATIONS[relaxation[0]](z, relaxation[1])
