"""The decisions of a solver step: what each may be, and how a mutation draws it anew.

Probabilities are those of the released search of the unified sampling framework (Liu et al.
2024), renormalised over what a space allows.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from autosearch._typing import Rng
from autosearch.spaces.base import StepGenome

__all__ = [
    "CORRECTORS",
    "EVALUATIONS",
    "ORDERS",
    "PREDICTIONS",
    "RESTARTS",
    "Choice",
    "Compensation",
    "CorrectorDecision",
    "Decision",
    "EstimateDecision",
    "Eta",
    "KeptChoice",
    "Relax",
]

ORDERS = {1: 0.2, 2: 0.4, 3: 0.3, 4: 0.1}
PREDICTIONS = {"data": 0.5, "noise": 0.5}
# Implicit correctors cost an evaluation; the published search never proposes them, but keeps them.
CORRECTORS = {"none": 0.5, "pseudo": 0.5, "implicit": 0.0}
EVALUATIONS = {"network": 0.3, "zero_x0": 0.3, "average_x0": 0.4}
# The published search has no singlestep steps; these odds are ours.
RESTARTS = {-1: 0.8, -2: 0.15, -3: 0.05}
_ESTIMATES = {1: 0.5, 2: 0.5}
# Standard deviations of what a mutation adds.
_RELAXATION_WIDTH = 0.03
_ETA_WIDTH = 0.15
_RATIO_WIDTH = 0.05


class Decision(ABC):
    """One field of a step."""

    field: str
    default: Any = None

    def get(self, step: StepGenome) -> Any:
        """The field's value in a step."""
        return step.get(self.field, self.default)

    def put(self, step: StepGenome, value: Any) -> None:
        """Write the field; defaults are left out, as in recipes."""
        if value == self.default:
            step.pop(self.field, None)
        else:
            step[self.field] = value

    @abstractmethod
    def draw(self, step: StepGenome, rng: Rng) -> Any:
        """A value for a mutated step, which knows its other fields."""

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Whether the space has the value."""

    def fallback(self, step: StepGenome) -> Any:
        """What takes the place of a value that is not allowed: the default."""
        return self.default


class Choice(Decision):
    """One of a few values, each with its probability."""

    def __init__(self, field: str, default: Any, odds: Mapping[Any, float]) -> None:
        self.field = field
        self.default = default
        self.values = tuple(odds)
        total = sum(odds.values())
        # A single value with no odds of its own is simply that value.
        self._odds = [odd / total if total else 1 / len(odds) for odd in odds.values()]

    def draw(self, step: StepGenome, rng: Rng) -> Any:
        return self.values[int(rng.choice(len(self.values), p=self._odds))]

    def allows(self, value: Any) -> bool:
        return value in self.values

    def fallback(self, step: StepGenome) -> Any:
        return self.default if self.default in self.values else self.values[0]


class KeptChoice(Choice):
    """One of a few values; others are never drawn, but kept where baselines bring them."""

    def __init__(
        self, field: str, default: Any, odds: Mapping[Any, float], kept: Collection[Any]
    ) -> None:
        super().__init__(field, default, odds)
        self._kept = frozenset(kept)

    def allows(self, value: Any) -> bool:
        return super().allows(value) or value in self._kept


class CorrectorDecision(Choice):
    """A corrector by name; one that a baseline spells out counts as its kind."""

    def allows(self, value: Any) -> bool:
        return super().allows(value["kind"] if isinstance(value, Mapping) else value)


class Relax(Decision):
    """The factor on the first derivative, for the taylor form."""

    field = "relaxation"

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)

    def draw(self, step: StepGenome, rng: Rng) -> Any:
        current = self.get(step)
        if not self.kinds:
            return current
        if current is None or rng.random() < 1 / 3:
            kind = str(rng.choice(self.kinds))
            coefficient = 0.5 * float(rng.choice([-1, 1])) if kind == "exp" else 0.0
        else:
            kind, coefficient = current["kind"], float(current.get("coefficient", 0.0))
        if kind.startswith("unipc"):
            return {"kind": kind}
        coefficient += _RELAXATION_WIDTH * float(rng.standard_normal())
        return {"kind": kind, "coefficient": round(min(max(coefficient, -10.0), 10.0), 4)}

    def allows(self, value: Any) -> bool:
        return value is None or value["kind"] in self.kinds


class EstimateDecision(Decision):
    """From how many other evaluations the first derivative is estimated; by default all."""

    field = "points"

    def __init__(self, *, varies: bool) -> None:
        self.varies = varies

    def draw(self, step: StepGenome, rng: Rng) -> Any:
        order = int(step.get("order", 1))
        if not self.varies or order < 3:
            return None
        count = int(rng.choice(list(_ESTIMATES), p=list(_ESTIMATES.values())))
        start = int(step.get("start_point", -1))
        nearest = [*range(start + 1, 0), *range(start - 1, start - 4, -1)]
        return None if count == order - 1 else [nearest[:count]]

    def allows(self, value: Any) -> bool:
        return value is None or self.varies


class Eta(Decision):
    """How stochastic a step is, up to a limit."""

    field = "eta"
    default = 0.0

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def draw(self, step: StepGenome, rng: Rng) -> Any:
        if not self.limit:
            return self.default
        moved = float(self.get(step)) + _ETA_WIDTH * float(rng.standard_normal())
        return round(min(max(moved, 0.0), self.limit), 3)

    def allows(self, value: Any) -> bool:
        return bool(0 <= value <= self.limit)


class Compensation(Decision):
    """DC-Solver's ratio, at most so far from 1, which changes nothing."""

    field = "compensation"
    default = 1.0

    def __init__(self, distance: float) -> None:
        self.distance = distance

    def draw(self, step: StepGenome, rng: Rng) -> Any:
        moved = float(self.get(step)) + _RATIO_WIDTH * float(rng.standard_normal())
        return round(self._inside(moved), 3)

    def allows(self, value: Any) -> bool:
        return bool(abs(value - 1) <= self.distance)

    def fallback(self, step: StepGenome) -> Any:
        return self._inside(float(self.get(step)))

    def _inside(self, value: float) -> float:
        return min(max(value, 1 - self.distance), 1 + self.distance)
