"""How much faster a recipe is than a named baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch.errors import UserError, unknown_name
from autosearch.objectives import find
from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.text import number

__all__ = ["SPEEDS", "Speed", "has_speed", "speed"]

# What stands for time, the nearest to it first; the first that every point has is taken.
SPEEDS = ("latency", "macs", "forwards", "nfe")
# Baselines within this share of the highest cost count as ones that leave nothing out.
_WHOLE = 0.95


@dataclass(frozen=True)
class Speed:
    """What speed-ups are counted in, and against whom.

    Attributes:
        axis: the first of ``SPEEDS`` that all points of the front and all baselines have.
        base: the baseline that counts as 1.
    """

    axis: Axis
    base: Point

    def of(self, point: Point) -> float:
        """How many times as fast as the base a point is; below 1 where it is slower."""
        cost = point.value(self.axis.name)
        return self.base.value(self.axis.name) / cost if cost else float("inf")

    def text(self, point: Point) -> str:
        """``2.50x as fast as ddim@10 (nfe 10 to 4)``."""
        before, after = (number(p.value(self.axis.name)) for p in (self.base, point))
        return (
            f"{self.of(point):.2f}x as fast as {self.base.name} "
            f"({self.axis.name} {before} to {after})"
        )


def has_speed(view: FrontView) -> bool:
    """Whether a front has baselines and something that stands for time."""
    return bool(view.baselines) and _measure(view) is not None


def speed(view: FrontView, base: str | None = None) -> Speed:
    """Against a named baseline of the table, or the one that stands for full quality.

    That is, of the baselines with the most steps, those that leave nothing out (within 5% of the
    highest cost among them), the one that is best in the front's first quality.

    Raises:
        UserError: without baselines, for an unknown one, or where nothing stands for time.
    """
    axis = _measure(view)
    if axis is None:
        raise UserError(
            f"speedup: this search knows no cost; name one of {', '.join(SPEEDS)} in objectives "
            "or report"
        )
    if not view.baselines:
        raise UserError("speedup: this search has no baseline to compare with; give a limit")
    if base is None:
        return Speed(axis, _whole(view.baselines, axis, view.quality))
    named = {point.name: point for point in view.baselines}
    if base not in named:
        raise unknown_name("baseline", base, named, where="speedup")
    return Speed(axis, named[base])


def _measure(view: FrontView) -> Axis | None:
    points = [*view.front, *view.baselines]
    for name in SPEEDS:
        if points and all(name in point.values for point in points):
            objective = find(name)
            return view.axis(name) or Axis(name, objective.direction, objective.unit)
    return None


def _whole(baselines: Sequence[Point], axis: Axis, quality: Axis) -> Point:
    steps = max(point.steps for point in baselines)
    longest = [point for point in baselines if point.steps == steps]
    limit = _WHOLE * max(point.value(axis.name) for point in longest)
    whole = [point for point in longest if point.value(axis.name) >= limit]
    return min(whole, key=lambda p: (quality.signed(p.value(quality.name)), p.id))
