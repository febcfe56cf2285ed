"""Choosing one point of a front: the knee, an id, the best of an objective, or limits.

Limits are written ``nfe<=5`` or ``speedup>=2.5 over ddim@10``, several with commas between. A
speed-up is how many times as fast as a named baseline a recipe is.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autosearch.errors import UserError, unknown_name
from autosearch.study.front import Front
from autosearch.study.point import Axis, Point
from autosearch.text import number

__all__ = ["Choice", "Speed", "choose", "pick", "speed"]

_SPEEDUP = "speedup"
_PATTERN = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=)\s*([^\s<>=]+)\s*(?:\bover\s+(\S+)\s*)?")

# What stands for time, the nearest to it first; the first that every point has is taken.
_SPEEDS = ("latency", "macs", "forwards", "nfe")
# Baselines within this share of the highest cost count as ones that leave nothing out.
_WHOLE = 0.95


@dataclass(frozen=True)
class Speed:
    """What speed-ups are counted in, and against whom.

    Attributes:
        axis: the first of latency, macs, forwards and nfe that all points of the front and all
            baselines have.
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


@dataclass(frozen=True)
class Choice:
    """A point of a front, and what its speed is compared with.

    Attributes:
        point: what was chosen.
        speed: the baseline that speed-ups are counted against, the one that the choice names or
            the one that stands for full quality; None where the front has none.
    """

    point: Point
    speed: Speed | None


def pick(front: Front, choice: str) -> Point:
    """The point of the front that a choice names; see :func:`choose`."""
    return choose(front, choice).point


def choose(front: Front, choice: str) -> Choice:
    """The point of the front that a choice names, and what its speed is compared with.

    Args:
        front: of a study.
        choice: ``knee``, an id, ``best:OBJECTIVE``, ``OBJECTIVE<=VALUE``, ``OBJECTIVE>=VALUE``,
            ``speedup>=VALUE`` or ``speedup>=VALUE over BASELINE``; limits may be joined by commas.
            Limits give the point that keeps them and is best in the first objective that none of
            them names: ``nfe<=5`` the best quality in five evaluations, ``fid<=2`` the cheapest
            way to that quality. With a speed-up it is the best first quality; see
            :func:`autosearch.study.pick.speed` for what it is compared with.

    Raises:
        UserError: when nothing is on the front, or nothing answers to the choice.
    """
    if not front.front:
        why = front.unmet or "let the search run longer first"
        raise UserError(f"--pick: the front is empty; {why}")
    limits = _parse_limits(front, choice)
    if limits is not None:
        named = next((limit.speed for limit in limits if limit.speed is not None), None)
        return Choice(_pick_within(front, limits), named or _default(front))
    return Choice(_pick_named(front, choice.strip()), _default(front))


def speed(front: Front, base: str | None = None) -> Speed:
    """Against a named baseline of the table, or the one that stands for full quality.

    That is, of the baselines with the most steps, those that leave nothing out (within 5% of the
    highest cost among them), the one that is best in the front's first quality.

    Raises:
        UserError: without baselines, for an unknown one, or where nothing stands for time.
    """
    axis = _time_axis(front)
    if axis is None:
        raise UserError(
            f"speedup: this search knows no cost; name one of {', '.join(_SPEEDS)} in objectives "
            "or report"
        )
    if not front.baselines:
        raise UserError("speedup: this search has no baseline to compare with; give a limit")
    if base is None:
        return Speed(axis, _whole(front.baselines, axis, front.quality))
    named = {point.name: point for point in front.baselines}
    if base not in named:
        raise unknown_name("baseline", base, named, where="speedup")
    return Speed(axis, named[base])


@dataclass(frozen=True)
class _Limit:
    """A bound on a value of a point.

    Attributes:
        text: as the user wrote it.
        name: of the objective, or ``speedup``.
        value: reads it from a point.
        upper: whether the bound is the largest value allowed, or the least.
        bound: the value.
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


def _parse_limits(front: Front, choice: str) -> list[_Limit] | None:
    """The limits of a choice; None when it is none.

    Raises:
        UserError: for an unknown objective or baseline, or a bound that is no number.
    """
    parts = choice.split(",")
    matches = [_PATTERN.fullmatch(part) for part in parts]
    if not any(matches):
        return None
    limits = []
    for part, match in zip(parts, matches, strict=True):
        if match is None:
            raise UserError(
                f"--pick {part.strip()!r}: is no limit; write OBJECTIVE<=VALUE, several with "
                "commas between"
            )
        limits.append(_parse_limit(front, part.strip(), match))
    return limits


def _parse_limit(front: Front, part: str, match: re.Match[str]) -> _Limit:
    name, relation, text, base = match.groups()
    where = f"--pick {name}{relation}{text}"
    fast = name == _SPEEDUP
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
        axis = _axis(front, name)
        return _Limit(part, name, lambda p: p.value(axis.name), relation == "<=", bound)
    if relation == "<=":
        raise UserError(f"{where}: a speed-up has a least value; write {_SPEEDUP}>={text}")
    against = speed(front, base)
    return _Limit(part, name, against.of, upper=False, bound=bound, speed=against)


def _within(points: Sequence[Point], limits: Sequence[_Limit]) -> list[Point]:
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


def _pick_within(front: Front, limits: Sequence[_Limit]) -> Point:
    """The best of what keeps the limits, in the first objective that none of them names."""
    kept = _within(front.front, limits)
    used = {limit.name for limit in limits}
    if _SPEEDUP in used and front.quality.name not in used:
        return _best(kept, front.quality)
    free = [axis for axis in front.axes if axis.name not in used]
    return _best(kept, free[0] if free else front.axes[0])


def _pick_named(front: Front, choice: str) -> Point:
    if choice == "knee" and front.knee is not None:
        return front.knee
    if choice.startswith("best:"):
        return _best(front.front, _axis(front, choice.removeprefix("best:")))
    if re.fullmatch(r"#?\d+", choice):
        return _pick_id(front, int(choice.lstrip("#")))
    if front.axis(choice) is not None or choice == _SPEEDUP:
        limit = f"{choice}>=VALUE" if choice == _SPEEDUP else f"best:{choice}, {choice}<=VALUE"
        raise UserError(f"--pick {choice}: is no choice by itself; write {limit}")
    valid = ["knee", _SPEEDUP, *sorted({axis.name for axis in front.axes})]
    raise unknown_name("choice", choice, valid, where="--pick (knee, ID, best:, <=)")


def _pick_id(front: Front, number: int) -> Point:
    point = front.by_number.get(number)
    if point is not None and point.on_front:
        return point
    if point is not None:
        off, other = "not on the front any more", point.overtaken_by
        if point.folded:
            off, other = f"worse than {', '.join(front.folded_below)}", None
        by = "; pick another"
        if other is not None:
            by = f", overtaken by {front.by_number[other].name}; pick {other}"
        raise UserError(f"--pick {number}: {off}{by}")
    ids = [point.id for point in front.front]
    close = min(ids, key=lambda other: abs(other - number))
    listed = ", ".join(map(str, ids[:12])) + (", ..." if len(ids) > 12 else "")
    raise UserError(
        f"--pick {number}: no such point on the front; nearest {close} (on the front: {listed})"
    )


def _best(points: Sequence[Point], axis: Axis) -> Point:
    return min(points, key=lambda point: (axis.signed(point.value(axis.name)), point.id))


def _axis(front: Front, name: str) -> Axis:
    """An objective of the search, or another that was measured or reported beside it.

    Raises:
        UserError: when not every point of the front has it.
    """
    axis = front.axis(name)
    if axis is not None:
        return axis
    names = sorted(set.intersection(*(set(point.names) for point in front.front)))
    if name not in names:
        raise unknown_name("objective", name, [*names, _SPEEDUP], where="--pick")
    return Axis.of(name)


def _default(front: Front) -> Speed | None:
    """The comparison with full quality; None without baselines or anything that stands for time."""
    return speed(front) if front.baselines and _time_axis(front) is not None else None


def _time_axis(front: Front) -> Axis | None:
    points = [*front.front, *front.baselines]
    for name in _SPEEDS:
        if points and all(name in point.names for point in points):
            return front.axis(name) or Axis.of(name)
    return None


def _whole(baselines: Sequence[Point], axis: Axis, quality: Axis) -> Point:
    steps = max(point.steps for point in baselines)
    longest = [point for point in baselines if point.steps == steps]
    limit = _WHOLE * max(point.value(axis.name) for point in longest)
    whole = [point for point in longest if point.value(axis.name) >= limit]
    return min(whole, key=lambda p: (quality.signed(p.value(quality.name)), p.id))
