"""The table of a front, as ``front --json`` prints it, with names instead of keys.

Everything that shows or picks points reads the table through here: text, plots, exports.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from autosearch.recipe import Recipe

__all__ = ["COSTS", "STEPS", "Axis", "FrontView", "Point"]

# Objectives that a plan declares; the first of them in an experiment is the axis of cost.
COSTS = ("nfe", "forwards", "macs", "memory", "latency")
# Stands for the cost where a table of one objective is drawn.
STEPS = "steps"


@dataclass(frozen=True)
class Axis:
    """An objective: its name, direction and unit."""

    name: str
    direction: str
    unit: str

    @property
    def label(self) -> str:
        """Name and unit for an axis of a plot; the unit is left out where it only repeats."""
        return self.name if self.unit.lower() in ("", self.name) else f"{self.name} [{self.unit}]"

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``."""
        return a > b if self.direction == "maximize" else a < b

    def signed(self, value: float) -> float:
        """A value with its sign changed where the objective is to be maximised."""
        return -value if self.direction == "maximize" else value


@dataclass(frozen=True)
class Point:
    """A recipe of a front's table: of the search, or a baseline."""

    id: int
    baseline: str | None
    recipe: Mapping[str, Any]
    on_front: bool
    overtaken_by: int | None
    values: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The baseline's name, or the candidate's number."""
        return self.baseline or f"#{self.id}"

    def to_recipe(self) -> Recipe:
        """The recipe, checked."""
        return Recipe.from_dict(self.recipe, where=f"candidate {self.id}")

    @property
    def steps(self) -> int:
        """Number of steps of the recipe."""
        return len(self.recipe["steps"])

    def search(self, objective: str) -> float | None:
        """The value on the search's noise."""
        value: float | None = self.values.get(objective, {}).get("search")
        return value

    def validated(self, objective: str) -> float | None:
        """The value on fresh noise; None before validation."""
        value: float | None = self.values.get(objective, {}).get("validated")
        return value

    def value(self, objective: str) -> float:
        """The validated value where there is one, else the search's.

        Raises:
            KeyError: when the objective was not measured for this point.
        """
        for value in (self.validated(objective), self.search(objective)):
            if value is not None:
                return value
        raise KeyError(objective)

    def interval(self, objective: str) -> tuple[float, float]:
        """The 95% interval of :meth:`value`; both ends equal for an exact value."""
        low, high = self.values[objective]["ci"]
        return low, high

    def measured(self, objective: str) -> bool:
        """Whether the value was measured although plans declare it, as where gates decide."""
        return bool(self.values.get(objective, {}).get("measured", False))

    def half_width(self, objective: str) -> float:
        """Half the width of the interval."""
        low, high = self.interval(objective)
        return (high - low) / 2


class FrontView:
    """A front table: its axes and points.

    Attributes:
        axes: the objectives in the experiment's order.
        points: those on the search front or on the validated one.
        baselines: named recipes; some may also be among ``points``.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.table = table
        self.axes = [Axis(o["name"], o["direction"], o["unit"]) for o in table["objectives"]]
        names = [field.name for field in fields(Point)]
        self.points, self.baselines = (
            [Point(**{name: data[name] for name in names}) for data in table[key]]
            for key in ("points", "baselines")
        )

    @property
    def cost(self) -> Axis | None:
        """The first objective that a plan declares."""
        return next((axis for axis in self.axes if axis.name in (*COSTS, STEPS)), None)

    @property
    def quality(self) -> Axis:
        """The first objective that is not the cost; the cost when it stands alone."""
        return next((axis for axis in self.axes if axis != self.cost), self.axes[0])

    @cached_property
    def front(self) -> list[Point]:
        """Points on the front, cheapest first."""
        return self.ordered([point for point in self.points if point.on_front])

    @property
    def overtaken(self) -> list[Point]:
        """Points off the front: fallen on fresh noise, or no better than a cheaper one."""
        return self.ordered([point for point in self.points if not point.on_front])

    @property
    def validated(self) -> bool:
        """Whether values on fresh noise stand in the table."""
        measured = (p.validated(axis.name) for p in self.points for axis in self.axes)
        return any(value is not None for value in measured)

    def ordered(self, points: Sequence[Point]) -> list[Point]:
        """Points by cost, then by quality, best first."""
        axes = [self.quality] if self.cost is None else [self.cost, self.quality]
        return sorted(
            points, key=lambda p: (*(axis.signed(p.value(axis.name)) for axis in axes), p.id)
        )

    def axis(self, name: str) -> Axis | None:
        """The objective with a name; None where the front has none."""
        return next((axis for axis in self.axes if axis.name == name), None)

    def same_cost(self, point: Point) -> list[Point]:
        """Baselines at the cost nearest to a point's, best first; all where there is no cost."""
        others = [baseline for baseline in self.baselines if baseline.id != point.id]
        cost = self.cost
        if cost is not None and others:
            here = point.value(cost.name)
            nearest = min((b.value(cost.name) for b in others), key=lambda c: (abs(c - here), c))
            others = [b for b in others if b.value(cost.name) == nearest]
        name = self.quality.name
        return sorted(others, key=lambda b: (self.quality.signed(b.value(name)), b.id))

    def reference_value(self, objective: str) -> float | None:
        """The reference's value of an objective, where it was measured."""
        value = self.table["reference"].get("values", {}).get(objective)
        return None if value is None else float(value["value"])
