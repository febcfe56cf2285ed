"""The unit cube of a space's box: one gateway between named values and plain numbers."""

from collections.abc import Sequence

import numpy as np

from autosearch._typing import Array
from autosearch.algorithms.base import BoxPoint
from autosearch.spaces.base import Parameter

__all__ = ["UnitBox", "levels"]

Value = float | int | str


class UnitBox:
    """A box as the cube [0, 1]^d.

    Whole numbers and choices own equal parts of their axis, so every point of the cube is a point
    of the box; a value's place is the middle of its part.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)

    @property
    def dimension(self) -> int:
        """Number of coordinates of a point."""
        return len(self.parameters)

    def point(self, unit: Array) -> dict[str, Value]:
        """Named values of a [d] vector."""
        pairs = zip(self.parameters, unit.tolist(), strict=True)
        return {parameter.name: _value(parameter, place) for parameter, place in pairs}

    def unit(self, point: BoxPoint) -> Array:
        """[d] vector of a point; ``point(unit(p)) == p`` up to rounding."""
        return np.array([_place(parameter, point[parameter.name]) for parameter in self.parameters])


def levels(parameter: Parameter, grid: int = 1) -> list[Value]:
    """All values of a parameter; of a float, so many evenly spaced ones with both ends."""
    if parameter.kind == "float":
        return [float(value) for value in np.linspace(parameter.low, parameter.high, grid)]
    if parameter.kind == "int":
        return list(range(int(parameter.low), int(parameter.high) + 1))
    return list(parameter.choices)


def _value(parameter: Parameter, place: float) -> Value:
    if parameter.kind == "float":
        return parameter.low + place * (parameter.high - parameter.low)
    values = levels(parameter)
    return values[min(int(place * len(values)), len(values) - 1)]


def _place(parameter: Parameter, value: Value) -> float:
    if parameter.kind == "float":
        span = parameter.high - parameter.low
        return (float(value) - parameter.low) / span if span else 0.5
    values = levels(parameter)
    return (values.index(value) + 0.5) / len(values)
