"""The point of a space's box that is nearest to a genome."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from autosearch.algorithms.base import BoxPoint
from autosearch.algorithms.unit_box import levels
from autosearch.spaces.base import Genome, Parameter
from autosearch.spaces.product import Space

__all__ = ["boxed"]

Array = NDArray[np.float64]
_LEVELS = 9
# In the unit cube. Times are rounded: smaller differences than this would show nothing.
_STEP = 1e-2
_STARTS = (0.5, 0.3, 0.7)


def boxed(space: Space, genome: Genome) -> BoxPoint:
    """The point of the box whose genome is nearest.

    It has the same number of steps, the nearest times, and the most of the genome's other choices.

    Times are compared in half log-SNR, by least squares over the box's numbers; the parameters
    that are no numbers are tried in all combinations.
    """
    parameters = space.box()
    point = {p.name: _first(p) for p in parameters}
    steps = next(p for p in parameters if p.name.endswith(".steps"))
    point[steps.name] = min(max(len(genome["steps"]), int(steps.low)), int(steps.high))
    point |= _nearest_times(space, genome, point, [p for p in parameters if p.kind == "float"])
    others = [p for p in parameters if p.kind != "float" and p is not steps]
    trials = itertools.product(*(levels(p, _LEVELS) for p in others))
    named = (dict(zip([p.name for p in others], values, strict=True)) for values in trials)
    best = max(named, key=lambda values: _agreement(space.from_box({**point, **values}), genome))
    return {**point, **best}


def _first(parameter: Parameter) -> float | int | str:
    if parameter.kind == "float":
        return (parameter.low + parameter.high) / 2
    return levels(parameter, _LEVELS)[0]


def _nearest_times(
    space: Space, genome: Genome, point: BoxPoint, numbers: Sequence[Parameter]
) -> dict[str, float]:
    wanted = _levels(space, genome)
    low = np.array([p.low for p in numbers])
    span = np.array([p.high for p in numbers]) - low

    def named(unit: Array) -> dict[str, float]:
        return dict(zip([p.name for p in numbers], (low + unit * span).tolist(), strict=True))

    def missed(unit: Array) -> Array:
        return _levels(space, space.from_box({**point, **named(unit)})) - wanted

    starts = (np.full(len(numbers), middle) for middle in _STARTS)
    found = [
        least_squares(missed, start, bounds=(0.0, 1.0), diff_step=[_STEP], max_nfev=60)
        for start in starts
    ]
    return named(min(found, key=lambda one: float(one.cost)).x)


def _levels(space: Space, genome: Genome) -> Array:
    """[steps] log-SNRs, all finite."""
    schedule = space.denoiser.schedule
    values = [schedule.log_snr(step["time"]) for step in genome["steps"]]
    return np.array([value if math.isfinite(value) else -20.0 for value in values])


def _agreement(one: Genome, other: Genome) -> int:
    """How many fields of the steps are equal, times left out."""
    pairs = zip(one["steps"], other["steps"], strict=True)
    return sum(_equal(a, b) for a, b in pairs)


def _equal(one: dict[str, Any], other: dict[str, Any]) -> int:
    names = (one.keys() | other.keys()) - {"time", "log_snr"}
    return -sum(bool(one.get(name) != other.get(name)) for name in names)
