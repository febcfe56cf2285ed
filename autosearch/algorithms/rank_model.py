"""A model that learns to order results, and keeps the record of how well it foresaw them."""

from collections import deque

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtri

from autosearch._typing import Array

__all__ = ["RankModel"]

# Results that a fit looks at, the latest: its time grows with the cube.
_MEMORY = 240
# Results between two fits: the stages in which it learns.
_STAGE = 4
# A fit needs so many results, and a record so many forecasts.
_FEWEST = 16
# The forecasts that the record is made of.
_RECORD = 48
# The kernel's width as a share of the median squared distance, and its ridge: so that the order
# of results of equal cost was foreseen best, in searches of the mixture's times.
_WIDTH = 0.3
_RIDGE = 0.02


class RankModel:
    """Kernel regression of normal scores: of where a value stands among all that are known.

    Scores do not change when values are transformed monotonically, so what is learnt is their
    order, as with S3's ranking loss (USF, ICLR 2024), and a few that diverge do not matter. Each
    result is foreseen before it is learnt from (prequentially); the record of that is
    :attr:`agreement`.
    """

    def __init__(self) -> None:
        self._inputs: deque[Array] = deque(maxlen=_MEMORY)
        self._values: deque[float] = deque(maxlen=_MEMORY)
        # Forecast, value and cost of the latest results.
        self._record: deque[tuple[float, float, float]] = deque(maxlen=_RECORD)
        self._since = 0
        self._fit: _Fit | None = None

    @property
    def ready(self) -> bool:
        """Whether anything can be foreseen."""
        return self._fit is not None

    @property
    def agreement(self) -> float:
        """How well the order of the latest results was foreseen, from -1 to 1.

        Of neighbours in cost, the share foreseen in their true order less the share foreseen in
        the other one; 0 while there are too few.
        """
        if len(self._record) < _FEWEST:
            return 0.0
        record = np.array(self._record)
        order = np.lexsort((np.arange(len(record)), record[:, 2]))
        pairs = np.diff(record[order, :2], axis=0)
        return float(np.sign(pairs[:, 0] * pairs[:, 1]).mean())

    def learn(self, x: Array, value: float, *, cost: float) -> None:
        """Take in a result: a vector [D], what it came to, and what it cost."""
        if self._fit is not None:
            self._record.append((float(self._fit.scores(x[None])[0]), value, cost))
        self._inputs.append(x)
        self._values.append(value)
        self._since += 1
        if len(self._values) >= _FEWEST and (self._since >= _STAGE or self._fit is None):
            self._fit = _Fit(np.array(self._inputs), np.array(self._values))
            self._since = 0

    def scores(self, x: Array) -> Array:
        """[N] expected normal scores of vectors [N, D]; lower is better."""
        assert self._fit is not None
        return self._fit.scores(x)


class _Fit:
    """One stage's regression."""

    def __init__(self, inputs: Array, values: Array) -> None:
        self._sorted = np.sort(values)
        self._places = ndtri((np.arange(len(values)) + 0.5) / len(values))
        self._middle = inputs.mean(axis=0)
        # What never varies says nothing.
        spread = inputs.std(axis=0)
        self._scale = np.where(spread > 1e-9, spread, np.inf)
        self._inputs = (inputs - self._middle) / self._scale
        square = _squares(self._inputs, self._inputs)
        self._width = max(_WIDTH * float(np.median(square)), 1e-9)
        kernel = np.exp(-square / self._width)
        factor = cho_factor(kernel + _RIDGE * np.eye(len(values)))
        self._weights = cho_solve(factor, self._score(values))

    def scores(self, x: Array) -> Array:
        square = _squares((x - self._middle) / self._scale, self._inputs)
        return np.asarray(np.exp(-square / self._width) @ self._weights)

    def _score(self, values: Array) -> Array:
        """[N] normal scores; equal values have equal ones."""
        left = np.searchsorted(self._sorted, values, side="left")
        right = np.maximum(np.searchsorted(self._sorted, values, side="right") - 1, left)
        last = len(self._sorted) - 1
        low = self._places[np.minimum(left, last)]
        high = self._places[np.minimum(right, last)]
        return np.asarray((low + high) / 2)


def _squares(a: Array, b: Array) -> Array:
    """[N, M] squared distances."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))
