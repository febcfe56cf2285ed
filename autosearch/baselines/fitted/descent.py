"""Least squares where each evaluation is dear: Gauss-Newton on slopes that are kept up to date."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import least_squares

from autosearch._typing import Array

__all__ = ["descend", "most_evaluations"]

# Of finite differences.
_STEP = 1e-2
# A round that gains less than this share is the last.
_GAIN = 0.02


def descend(
    residuals: Callable[[Array], Array], start: Array, *, rounds: int, tries: int
) -> tuple[Array, float]:
    """Minimise a sum of squares near a start; returns the best numbers [K] and their sum.

    Slopes are measured by finite differences once a round, as many evaluations as there are
    numbers; from then on each evaluation corrects them (Broyden 1965). SciPy's trust region
    (``least_squares``) takes the steps.

    Args:
        residuals: the residuals [R] of numbers [K].
        start: numbers [K] to begin with.
        rounds: how often slopes are measured, at most.
        tries: evaluations of a round, beside those of its finite differences.
    """
    best, least = start, np.inf
    for _ in range(rounds):
        slopes = _Slopes(residuals)
        found = least_squares(slopes.residuals, best, jac=slopes.here, max_nfev=tries)
        gained = 2 * found.cost < (1 - _GAIN) * least
        if 2 * found.cost < least:
            best, least = found.x, float(2 * found.cost)
        if not gained:
            break
    return best, least


def most_evaluations(size: int, *, rounds: int, tries: int) -> int:
    """How often :func:`descend` asks for the residuals of ``size`` numbers, at most."""
    return rounds * (size + tries)


class _Slopes:
    """[R, K] slopes where a descent stands, by Broyden's updates from finite differences."""

    def __init__(self, residuals: Callable[[Array], Array]) -> None:
        self._missed = residuals
        self._found: Array | None = None
        # Where the descent stands, and the residuals there; and those of the latest evaluation.
        self._base: tuple[Array, Array] | None = None
        self._latest: dict[bytes, Array] = {}

    def residuals(self, x: Array) -> Array:
        value = self._missed(x)
        self._latest[x.tobytes()] = value
        if self._found is not None and self._base is not None:
            step = x - self._base[0]
            error = value - self._base[1] - self._found @ step
            self._found = self._found + np.outer(error, step) / max(float(step @ step), 1e-12)
        return value

    def here(self, x: Array) -> Array:
        value = self._latest[x.tobytes()]
        self._base = x.copy(), value
        if self._found is None:
            there = [self._missed(x + _STEP * unit) for unit in np.eye(len(x))]
            self._found = (np.stack(there, axis=1) - value[:, None]) / _STEP
        return self._found
