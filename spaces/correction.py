"""Correction: two factors a step, on what the network says and on the state (Q-Sched)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Family, Genome, Parameter, StepGenome, check_within

__all__ = ["Correction"]

_WHERE = "space.correction"
_MOST_KNOTS = 8
_DIGITS = 4
_NAMES = ("output", "state")


@dataclass(kw_only=True, eq=False)
class Correction(Family):
    """Q-Sched's two coefficients and their generalisations (2025).

    Published: factors on the network's output and on the state that run evenly from two searched
    numbers at the first step to 1 at the last; they make up for a quantised network's bias, and
    for any other error that few-step sampling has on average. More ``knots`` are more numbers along
    the way, evenly spread, the line from the last one ending at 1. Operators on genomes move the
    factors of single steps besides.

    Args:
        low: the smallest factor; published: 0.8 at least.
        high: the largest factor; published: 1.2 at most.
        knots: how many searched numbers for each of the two in the box; published: 1.
        width: standard deviation of what a mutation adds.
    """

    name = "correction"
    summary = "factors on the network's output and on the state at each step (Q-Sched)"
    fields = ("scaling",)
    odds = 0.5

    low: float = 0.8
    high: float = 1.2
    knots: int = 1
    width: float = 0.02

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if not -10 <= low <= 1 <= high <= 10 or low == high:
            raise UserError(
                f"{_WHERE}: factors from {low:g} to {high:g}; use a range around 1, within 10"
            )
        check_within(f"{_WHERE}.knots", self.knots, 1, _MOST_KNOTS)
        check_within(f"{_WHERE}.width", self.width, 0, 1, above=True)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        """Lines as published, from numbers drawn evenly."""
        drawn = rng.uniform(self.low, self.high, 2 * self.knots).tolist()
        self.from_box(genome, dict(zip((p.name for p in self.box()), drawn, strict=True)))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One of the two factors: a bump that ends at 1, or a single step's, moved a little."""
        steps = genome["steps"]
        which = int(rng.integers(2))
        moved = self.width * float(rng.standard_normal())
        if rng.random() < 0.5:
            shares = 1 - np.linspace(0, 1, len(steps)) if len(steps) > 1 else np.ones(1)
            changes = (moved * shares).tolist()
        else:
            changes = [0.0] * len(steps)
            changes[int(rng.integers(len(steps)))] = moved
        for step, change in zip(steps, changes, strict=True):
            factors = _factors(step)
            factors[which] += change
            self._put(step, factors)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Either factor of all common steps from the other parent."""
        which = int(rng.integers(2))
        for mine, theirs in zip(child["steps"], other["steps"], strict=False):
            factors = _factors(mine)
            factors[which] = _factors(theirs)[which]
            self._put(mine, factors)

    def repair(self, genome: Genome) -> None:
        for step in genome["steps"]:
            self._put(step, _factors(step))

    def encodes(self, genome: Genome) -> bool:
        return all(
            self.low <= factor <= self.high for step in genome["steps"] for factor in _factors(step)
        )

    def box(self) -> Sequence[Parameter]:
        """The numbers at the knots: ``output_0`` and ``state_0`` at the first step, and so on."""
        return tuple(
            Parameter(f"{name}_{k}", "float", self.low, self.high)
            for name in _NAMES
            for k in range(self.knots)
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        steps = genome["steps"]
        places = np.linspace(0, 1, self.knots + 1)
        shares = np.linspace(0, 1, len(steps)) if len(steps) > 1 else np.zeros(1)
        lines = [
            np.interp(shares, places, [*(float(values[f"{n}_{k}"]) for k in range(self.knots)), 1])
            for n in _NAMES
        ]
        for step, output, state in zip(steps, *lines, strict=True):
            self._put(step, [float(output), float(state)])

    def _put(self, step: StepGenome, factors: Sequence[float]) -> None:
        kept = [round(min(max(factor, self.low), self.high), _DIGITS) for factor in factors]
        if kept == [1.0, 1.0]:
            step.pop("scaling", None)
        else:
            step["scaling"] = kept


def _factors(step: StepGenome) -> list[float]:
    return [float(factor) for factor in step.get("scaling") or (1.0, 1.0)]
