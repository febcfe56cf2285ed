"""A point of a front, the objectives that it is measured in, and what it is compared with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from autosearch.objectives.base import Estimate, half_width
from autosearch.recipe import Recipe
from autosearch.study.ranking import objective

__all__ = ["STEPS", "Axis", "Point", "Versus"]

# Stands for the cost where a front of one objective is drawn.
STEPS = "steps"


@dataclass(frozen=True)
class Axis:
    """An objective: its name, direction and unit."""

    name: str
    direction: str
    unit: str

    @classmethod
    def of(cls, name: str) -> "Axis":
        """The axis of an objective by its name."""
        return cls(name, objective(name).direction, objective(name).unit)

    @property
    def label(self) -> str:
        """Name and unit for an axis of a plot; the unit is left out where it only repeats."""
        return self.name if self.unit.lower() in ("", self.name) else f"{self.name} [{self.unit}]"

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``."""
        return self.signed(a) < self.signed(b)

    def signed(self, value: float) -> float:
        """A value with its sign changed where the objective is to be maximised."""
        return -value if self.direction == "maximize" else value


@dataclass(frozen=True, eq=False)
class Point:
    """A recipe of a front: of the search, or a named baseline.

    Attributes:
        id: the candidate's number.
        baseline: the baseline's name; None for others.
        on_front: whether it is on the front.
        overtaken_by: the point on the front that beats it on fresh noise, or at a lower cost.
        folded: whether it is worse than every named baseline, and so is not shown.
        search: estimates on the search's noise, by objective.
        validated: estimates on fresh noise; empty before validation.
        samples: how many the search's estimates are of.
        load: makes the recipe.
    """

    id: int
    baseline: str | None
    on_front: bool
    overtaken_by: int | None
    folded: bool
    search: Mapping[str, Estimate]
    validated: Mapping[str, Estimate]
    samples: int
    load: Callable[[], Recipe] = field(repr=False)

    @property
    def name(self) -> str:
        """The baseline's name, or the candidate's number."""
        return self.baseline or f"#{self.id}"

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe; read and checked when it is first asked for."""
        return self.load()

    @property
    def steps(self) -> int:
        """The number of the recipe's steps."""
        return len(self.recipe.steps)

    @property
    def names(self) -> list[str]:
        """What was measured: objectives, and what is reported beside them."""
        return list(dict.fromkeys([*self.search, *self.validated]))

    def estimate(self, name: str) -> Estimate:
        """The validated estimate of an objective where there is one, else the search's.

        Raises:
            KeyError: when the objective was not measured for this point.
        """
        if name == STEPS:
            return Estimate(float(self.steps))
        return self.validated[name] if name in self.validated else self.search[name]

    def value(self, name: str) -> float:
        """The value of :meth:`estimate`."""
        return self.estimate(name).value

    def interval(self, name: str) -> tuple[float, float]:
        """The 95% interval of :meth:`value`; both ends equal for an exact value."""
        return self.estimate(name).interval()

    def half_width(self, name: str) -> float:
        """How far the farther end of :meth:`interval` is from the value."""
        return half_width(self.value(name), self.interval(name))

    def measured(self, name: str) -> bool:
        """Whether the value was measured although plans declare it, as where gates decide."""
        return name != STEPS and bool(self.estimate(name).pseudo) and not objective(name).needs

    def value_data(self, name: str) -> dict[str, Any]:
        """An objective's values as plain data."""
        search, validated = self.search.get(name), self.validated.get(name)
        return {
            "search": None if search is None else search.value,
            "validated": None if validated is None else validated.value,
            "ci": list(self.interval(name)),
            **({"measured": True} if self.measured(name) else {}),  # where plans declare
        }


@dataclass(frozen=True)
class Versus:
    """A point's quality less that of a baseline, and the paired 95% interval of the difference.

    ``interval`` is None where the two were not measured on the same noise.
    """

    baseline: Point
    difference: float
    interval: tuple[float, float] | None

    @property
    def half(self) -> float:
        """How far the farther end of the interval is from the difference; 0 without one."""
        return 0.0 if self.interval is None else half_width(self.difference, self.interval)
