"""Spacings that more than one grid uses."""

import numpy as np

__all__ = ["power_spaced"]


def power_spaced(high: float, low: float, count: int, *, rho: float) -> list[float]:
    """``count`` values from high to low whose rho-th roots are equally far apart.

    Karras et al. 2022, eq. 5; rho 1 is linear, large rho is geometric.
    """
    roots = np.linspace(high ** (1 / rho), low ** (1 / rho), count)
    return [float(root**rho) for root in roots]
