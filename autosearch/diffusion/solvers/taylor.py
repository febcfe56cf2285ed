"""Exponential integrators by Taylor expansion about the start of the step.

With the derivatives of the prediction estimated from differences, this holds DPM-Solver,
DPM-Solver++, UniPC and DEIS in the log of sigma/alpha as special cases (the unified sampling
framework, Liu et al. 2024, section 3). What sets most second-order solvers apart is a relaxation,
a factor ``1 + O(h)`` on the first derivative, of the framework's kinds: with ``z = h`` in noise and
``z = -h`` in data prediction; ``linear`` takes ``h`` itself in both, as its released code does.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

__all__ = ["RELAXATIONS", "difference_weights", "phi", "relaxation_factor", "taylor_weights"]


def taylor_weights(
    z: float,
    distances: Mapping[int, float],
    points: Sequence[Sequence[int]],
    factors: Sequence[float],
) -> tuple[float, dict[int, float]]:
    """The weights of ``int_0^|z| exp(sign(z) (|z| - u)) f(u) du``.

    Args:
        z: the step length, negative for data prediction.
        distances: of each point from the start, in steps (1 is the step's end).
        points: for each derivative from the first on, the points that estimate it.
        factors: what each derivative's term is multiplied with.

    Returns:
        The weight of ``f`` at the start, and of ``f - f(start)`` at each other point.
    """
    weights: dict[int, float] = {}
    for i, (chosen, factor) in enumerate(zip(points, factors, strict=True), start=1):
        scale = abs(z) * phi(i + 1, z) * factor
        shares = difference_weights(tuple(distances[j] for j in chosen), i)
        for j, share in zip(chosen, shares, strict=True):
            weights[j] = weights.get(j, 0.0) + scale * share
    return abs(math.expm1(z)), weights  # |z| phi_1(z), also where z is infinite


def difference_weights(distances: Sequence[float], derivative: int) -> list[float]:
    """``a`` with ``f^(i)(0) = sum_j a_j (f(r_j) - f(0))``, exact for polynomials through all.

    Solves ``sum_j a_j r_j**m / m! = [m = i]`` for m from 1 to the number of points.
    """
    if len(distances) == 1:
        return [1.0 / distances[0]]
    # Columns r, r**2 / 2, ...: row m is the previous one times r / m.
    rows = [np.asarray(distances)]
    for m in range(2, len(distances) + 1):
        rows.append(rows[-1] * rows[0] / m)
    derivatives = np.zeros(len(distances))
    derivatives[derivative - 1] = 1.0
    weights: list[float] = np.linalg.solve(np.stack(rows), derivatives).tolist()
    return weights


def phi(k: int, z: float) -> float:
    """``phi_1(z) = (exp(z) - 1) / z``, ``phi_{k+1}(z) = (phi_k(z) - 1 / k!) / z``.

    Near 0 the recursion cancels, and the series ``sum_n z**n / (n + k)!`` takes its place.
    """
    if abs(z) < 1.0:
        term = total = 1.0 / math.factorial(k)
        for n in range(1, 20):
            term *= z / (n + k)
            total += term
        return total
    value = math.expm1(z) / z
    for i in range(1, k):
        value = (value - 1.0 / math.factorial(i)) / z
    return value


RELAXATIONS: Mapping[str, Callable[[float, float], float]] = {
    "linear": lambda z, coefficient: 1.0 + coefficient * abs(z),
    "exp": lambda z, coefficient: 1.0 + coefficient * math.expm1(z),
    # UniPC's second order with B(h) = h (Zhao et al. 2023), and with B(h) = exp(h) - 1, which is
    # DPM-Solver's.
    "unipc_bh1": lambda z, _: 0.5 / phi(2, z),
    "unipc_bh2": lambda z, _: 0.5 * phi(1, z) / phi(2, z),
}


def relaxation_factor(relaxation: tuple[str, float] | None, z: float) -> float:
    """The factor of a kind and coefficient; 1 for none."""
    return 1.0 if relaxation is None else RELAXATIONS[relaxation[0]](z, relaxation[1])
