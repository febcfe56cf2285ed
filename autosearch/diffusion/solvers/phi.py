"""The phi functions of exponential integrators."""

import math

__all__ = ["phi"]


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
