"""Scales of a picture: where a value stands in pixels, and which values are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Scale", "fitted", "short"]

# A cost above this counts multiply-accumulates or bytes, and is shown by its magnitude.
_LARGE = 1e4
# Axes end so far beyond their values, as a share of their span, linear or in powers of ten.
_ROOM = 0.06
_ABOVE = 1.6
# Values that differ by less than this factor need no logarithm.
_NARROW = 3.0
# What is nearer to zero counts as zero.
_TINY = 1e-30
# Multiples of a power of ten that a log axis may write, the sparsest first.
_MULTIPLES = ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
_LEAST_TICKS = 3
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` between two places in pixels.

    ``symlog`` is linear within ``threshold`` of zero and logarithmic beyond it.
    """

    kind: Literal["linear", "log", "symlog"]
    low: float
    high: float
    start: float
    end: float
    threshold: float = 1.0
    whole: bool = False

    def at(self, value: float) -> float:
        """The place of a value; beyond the ends for values that a log axis cannot show."""
        low, high = self._bent(self.low), self._bent(self.high)
        share = (self._bent(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """SiteSpec and text of about as many ticks as there is room for."""
        make = {"linear": self._linear, "log": self._log, "symlog": self._symlog}[self.kind]
        values = [v for v in make(most) if self.low <= v <= self.high]
        return [(self.at(value), short(value)) for value in values]

    def _bent(self, value: float) -> float:
        if self.kind == "linear":
            return value
        if self.kind == "log":
            return math.log10(max(value, self.low / 100))
        return math.copysign(math.log10(1 + abs(value) / self.threshold), value)

    def _linear(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
        if self.whole:
            step = max(1.0, float(math.ceil(step)))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [step * i for i in range(first, last + 1)]

    def _log(self, most: int) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found: list[float] = []
        for multiples in _MULTIPLES:
            denser = [m * 10.0**power for power in powers for m in multiples]
            denser = [value for value in denser if self.low <= value <= self.high]
            if found and len(denser) > most:
                break
            found = denser
            if len(found) >= _LEAST_TICKS:
                break
        return _thinned(found, most)

    def _symlog(self, most: int) -> list[float]:
        reach = max(abs(self.low), abs(self.high))
        first = math.ceil(math.log10(self.threshold))
        powers = [10.0**p for p in range(first, math.floor(math.log10(reach)) + 1)]
        powers = _thinned(powers, max(1, most // 2))
        return sorted([*(-p for p in powers), 0.0, *powers])


def fitted(
    values: Sequence[float],
    start: float,
    end: float,
    *,
    is_cost: bool,
    levels: Sequence[float] = (),
) -> Scale:
    """The scale for some values: a cost is linear unless it is large, a quality logarithmic.

    A quality that touches zero, as a bias-corrected distance may, is linear near it. ``levels``
    are shown too where a log axis can.
    """
    data = np.array([*values, *(v for v in levels if v > 0 or min(values) <= 0)])
    low, high = float(data.min()), float(data.max())
    if is_cost and high <= _LARGE:
        return _linear_scale(data, start, end)
    if low > _TINY and high >= _NARROW * low:
        room = (high / low) ** _ROOM
        return Scale("log", low / room, high * room, start, end)
    if low > _TINY or high <= _TINY:
        return _linear_scale(data, start, end)
    threshold = float(np.quantile(data[data > _TINY], 0.1))
    return Scale("symlog", low - threshold, high * _ABOVE, start, end, threshold)


def short(value: float) -> str:
    """A number for a tick: 0.02, 15, 2.5G."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= max(size, _LARGE):
            return f"{value / size:.4g}{suffix}"
    return f"{value:.6g}"


def _linear_scale(data: NDArray[np.float64], a: float, b: float) -> Scale:
    low, high = float(data.min()), float(data.max())
    span = (high - low) or abs(high)
    room = _ROOM * (span if span > _TINY else 1.0)
    whole = bool((data == np.round(data)).all())
    return Scale("linear", low - room, high + room, a, b, whole=whole)


def _thinned(values: list[float], most: int) -> list[float]:
    return values[:: -(-len(values) // most)] if values else values
