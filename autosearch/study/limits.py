"""Limits in a choice: ``nfe<=5``, ``speedup>=2.5 over ddim@10``, several with commas between."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autosearch.errors import UserError, unknown_name
from autosearch.objectives import find
from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.study.speedup import Speed, speed
from autosearch.text import number

__all__ = ["SPEEDUP", "Limit", "named_axis", "parse_limits", "within"]

SPEEDUP = "speedup"
_LIMIT = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=)\s*([^\s<>=]+)\s*(?:\bover\s+(\S+)\s*)?")


@dataclass(frozen=True)
class Limit:
    """A bound on a value of a point.

    Attributes:
        text: as the user wrote it.
        name: of the objective, or ``speedup``.
        value: reads it from a point.
        speed: for ``speedup``, what it is counted in and against whom.
    """

    text: str
    name: str
    value: Callable[[Point], float]
    upper: bool
    bound: float
    speed: Speed | None = None

    def keeps(self, point: Point) -> bool:
        """Whether a point is within the limit."""
        value = self.value(point)
        return value <= self.bound if self.upper else value >= self.bound


def parse_limits(view: FrontView, choice: str) -> list[Limit] | None:
    """The limits of a choice; None when it is none.

    Raises:
        UserError: for an unknown objective or baseline, or a bound that is no number.
    """
    parts = choice.split(",")
    matches = [_LIMIT.fullmatch(part) for part in parts]
    if not any(matches):
        return None
    limits = []
    for part, match in zip(parts, matches, strict=True):
        if match is None:
            raise UserError(
                f"--pick {part.strip()!r}: is no limit; write OBJECTIVE<=VALUE, several with "
                "commas between"
            )
        limits.append(_limit(view, part.strip(), match))
    return limits


def within(points: Sequence[Point], limits: Sequence[Limit]) -> list[Point]:
    """The points that keep all limits.

    Raises:
        UserError: naming the first limit that none of those keeps that keep the ones before it.
    """
    kept = list(points)
    for limit in limits:
        values = [limit.value(point) for point in kept]
        kept = [point for point in kept if limit.keeps(point)]
        if not kept:
            nearest = min(values) if limit.upper else max(values)
            others = " that keeps the limits before it" if limit is not limits[0] else ""
            against = "" if limit.speed is None else f" over {limit.speed.base.name}"
            raise UserError(
                f"--pick {limit.text}: no point of the front{others} keeps it; the nearest has "
                f"{limit.name} {number(nearest)}{against}"
            )
    return kept


def named_axis(view: FrontView, name: str) -> Axis:
    """An objective of the search, or another that was measured or reported beside it.

    Raises:
        UserError: when not every point of the front has it.
    """
    axis = view.axis(name)
    if axis is not None:
        return axis
    names = sorted(set.intersection(*(set(point.values) for point in view.front)))
    if name not in names:
        raise unknown_name("objective", name, [*names, SPEEDUP], where="--pick")
    objective = find(name)
    return Axis(name, objective.direction, objective.unit)


def _limit(view: FrontView, part: str, match: re.Match[str]) -> Limit:
    name, relation, text, base = match.groups()
    where = f"--pick {name}{relation}{text}"
    fast = name == SPEEDUP
    try:
        # "2.5x" is how people write a speed-up.
        bound = float(text.removesuffix("x") if fast else text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise UserError(f"{where}: {text!r} is not a number")
    if not fast:
        if base is not None:
            raise UserError(f"{where} over {base}: 'over' goes with speedup alone; leave it out")
        axis = named_axis(view, name)
        return Limit(part, name, lambda p: p.value(axis.name), relation == "<=", bound)
    if relation == "<=":
        raise UserError(f"{where}: a speed-up has a least value; write {SPEEDUP}>={text}")
    known = speed(view, base)
    return Limit(part, name, known.of, upper=False, bound=bound, speed=known)
