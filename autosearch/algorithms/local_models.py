"""Models of a value near a known point, from few results: of it, or of what it is made of."""

from abc import ABC, abstractmethod

import numpy as np

from autosearch._typing import Array, Rng

__all__ = ["LocalModel", "QuadraticModel", "ResidualModel", "draw_near"]

# How strongly slopes and curvatures are held to 0, in standard deviations of the values: slopes
# are learnt from about as many results as there are coordinates, curvatures from more.
_SLOPE, _CURVATURE = 0.05, 0.2
# Values above the best one by so many times the median's distance say only that they are bad.
_WORST = 3.0
# Points that the least one is chosen among, and lengths of a Gauss-Newton step that are tried.
_DRAWS = 128
_LENGTHS = (0.25, 0.5, 0.75, 1.0, 1.3)


def draw_near(middle: Array, radius: float, rng: Rng, count: int = 1) -> Array:
    """[count, D] points around one, as far away in each coordinate as the radius, on average."""
    return np.asarray(middle + radius * rng.standard_normal((count, len(middle))))


class LocalModel(ABC):
    """What is expected of a value near a point.

    Results of several kinds are learnt from together: each kind has a level of its own, slopes are
    common. Results that are near count most.

    Args:
        points: [N, D] coordinates, N at least 1.
        kinds: [N] whole numbers from 0.
        middle: the row of ``points`` where the model is to hold.
        radius: how far round it, in each coordinate.
    """

    def __init__(self, points: Array, kinds: Array, *, middle: int, radius: float) -> None:
        self.start, self.radius = points[middle], radius
        moved = self._moved(points)
        self._near = 1.0 / (1.0 + (moved**2).mean(axis=1))
        self._levels = (kinds[:, None] == np.unique(kinds)).astype(float)
        self._terms = self._features(moved)

    @abstractmethod
    def values(self, points: Array) -> Array:
        """[M] the values that are expected at points [M, D], of the middle's kind."""

    def least(self, rng: Rng) -> Array:
        """A point [D] within about the radius, where the least value is expected."""
        drawn = draw_near(self.start, self.radius, rng, _DRAWS)
        points = np.concatenate([drawn, self._steps()])
        return np.asarray(points[int(np.argmin(self.values(points)))])

    def _steps(self) -> Array:
        """[M, D] further points that may be good ones."""
        return np.empty((0, len(self.start)))

    def _features(self, moved: Array) -> Array:
        """[N, T] what slopes are of, from coordinates less the middle's, in radii [N, D]."""
        return moved

    def _moved(self, points: Array) -> Array:
        return np.asarray((points - self.start) / self.radius)

    def _slopes(self, targets: Array, held: Array) -> Array:
        """[T, S] ridge regression of targets [N, S], levels apart; ``held`` [T] how strongly."""
        design = np.concatenate([self._levels, self._terms], axis=1)
        weighted = (design * self._near[:, None]).T
        ridge = np.concatenate([np.full(self._levels.shape[1], 1e-6), held])
        found = np.linalg.solve(weighted @ design + np.diag(ridge), weighted @ targets)
        return np.asarray(found[self._levels.shape[1] :])


class QuadraticModel(LocalModel):
    """Values [N] as a quadratic of the coordinates."""

    def __init__(
        self, points: Array, values: Array, kinds: Array, *, middle: int, radius: float
    ) -> None:
        super().__init__(points, kinds, middle=middle, radius=radius)
        best, size = float(values.min()), points.shape[1]
        bounded = np.minimum(values, best + _WORST * max(float(np.median(values)) - best, 1e-12))
        scale = float(bounded.std()) or 1.0
        held = np.repeat([_SLOPE, _CURVATURE], [size, self._terms.shape[1] - size])
        self._found = scale * self._slopes((bounded - best)[:, None] / scale, held)[:, 0]
        self._value = float(values[middle])

    def values(self, points: Array) -> Array:
        return np.asarray(self._value + self._features(self._moved(points)) @ self._found)

    def _features(self, moved: Array) -> Array:
        """Coordinates and their products: [N, D + D (D + 1) / 2]."""
        rows, columns = np.triu_indices(moved.shape[1])
        return np.concatenate([moved, moved[:, rows] * moved[:, columns]], axis=1)


class ResidualModel(LocalModel):
    """Residuals [N, S], whose squares add up to the value, as linear ones (Gauss-Newton)."""

    def __init__(
        self, points: Array, residuals: Array, kinds: Array, *, middle: int, radius: float
    ) -> None:
        super().__init__(points, kinds, middle=middle, radius=radius)
        held = np.full(points.shape[1], _SLOPE)
        self._found = self._slopes(residuals - residuals[middle], held)
        self._here = residuals[middle]

    def values(self, points: Array) -> Array:
        reached = self._here + self._moved(points) @ self._found
        return np.asarray((reached**2).sum(axis=1))

    def _steps(self) -> Array:
        """Along the Gauss-Newton step, no longer than twice the radius in each coordinate."""
        ridge = 1e-3 * np.trace(self._found @ self._found.T) / max(len(self.start), 1) + 1e-300
        square = self._found @ self._found.T + ridge * np.eye(len(self.start))
        step = -np.linalg.solve(square, self._found @ self._here)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        return np.array([self.start + self.radius * length * step for length in _LENGTHS])
