"""Choosing one point of a front: the knee, an id, the best of an objective, or limits.

Limits are written ``nfe<=5`` or ``speedup>=2.5 over ddim@10``, several with commas between. A
speed-up is how many times as fast as a named baseline a recipe is.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from autosearch._typing import Array
from autosearch.errors import UserError, unknown_name
from autosearch.objectives import find
from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.text import number

__all__ = ["Choice", "Speed", "choose", "knee", "pick", "speed"]

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


def pick(view: FrontView, choice: str) -> Point:
    """The point of the front that a choice names; see :func:`choose`."""
    return choose(view, choice).point


def choose(view: FrontView, choice: str) -> Choice:
    """The point of the front that a choice names, and what its speed is compared with.

    Args:
        view: the table.
        choice: ``knee``, an id, ``best:OBJECTIVE``, ``OBJECTIVE<=VALUE``, ``OBJECTIVE>=VALUE``,
            ``speedup>=VALUE`` or ``speedup>=VALUE over BASELINE``; limits may be joined by commas.
            Limits give the point that keeps them and is best in the first objective that none of
            them names: ``nfe<=5`` the best quality in five evaluations, ``fid<=2`` the cheapest
            way to that quality. With a speed-up it is the best first quality; see
            :func:`autosearch.study.pick.speed` for what it is compared with.

    Raises:
        UserError: when nothing is on the front, or nothing answers to the choice.
    """
    if not view.front:
        raise UserError("--pick: the front is empty; let the search run longer first")
    limits = _parse_limits(view, choice)
    if limits is not None:
        named = next((limit.speed for limit in limits if limit.speed is not None), None)
        return Choice(_pick_within(view, limits), named or _default(view))
    return Choice(_pick_named(view, choice.strip()), _default(view))


def knee(view: FrontView) -> Point:
    """The point where giving up a little of one objective buys the most of the others.

    Two objectives: the largest distance below the chord between the ends of the front, on axes
    scaled to 0..1, logarithmic where all values are positive (Das 1999; Branke et al. 2004).
    Three or more: the smallest Euclidean distance to the ideal point, the best of each objective
    on its own, on the same axes (compromise programming, Yu 1973; Zeleny 1973), because the ends
    of such a front span no plane that all fronts share. So for fronts of fewer than three points
    too. Ties go to the better first objective.
    """
    points = view.front
    scaled = np.stack([_scaled(points, axis) for axis in view.axes], axis=1)
    if len(view.axes) == 2 and len(points) > 2:
        # On these axes the ends lie at (0, 1) and (1, 0): the chord is x + y = 1.
        score = scaled.sum(axis=1)
    else:
        score = np.hypot.reduce(scaled, axis=1)
    order = sorted(range(len(points)), key=lambda i: (round(float(score[i]), 12), scaled[i, 0]))
    return points[order[0]]


def speed(view: FrontView, base: str | None = None) -> Speed:
    """Against a named baseline of the table, or the one that stands for full quality.

    That is, of the baselines with the most steps, those that leave nothing out (within 5% of the
    highest cost among them), the one that is best in the front's first quality.

    Raises:
        UserError: without baselines, for an unknown one, or where nothing stands for time.
    """
    axis = _time_axis(view)
    if axis is None:
        raise UserError(
            f"speedup: this search knows no cost; name one of {', '.join(_SPEEDS)} in objectives "
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


def _parse_limits(view: FrontView, choice: str) -> list[_Limit] | None:
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
        limits.append(_parse_limit(view, part.strip(), match))
    return limits


def _parse_limit(view: FrontView, part: str, match: re.Match[str]) -> _Limit:
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
        axis = _axis(view, name)
        return _Limit(part, name, lambda p: p.value(axis.name), relation == "<=", bound)
    if relation == "<=":
        raise UserError(f"{where}: a speed-up has a least value; write {_SPEEDUP}>={text}")
    against = speed(view, base)
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


def _pick_within(view: FrontView, limits: Sequence[_Limit]) -> Point:
    """The best of what keeps the limits, in the first objective that none of them names."""
    kept = _within(view.front, limits)
    used = {limit.name for limit in limits}
    if _SPEEDUP in used and view.quality.name not in used:
        return _best(kept, view.quality)
    free = [axis for axis in view.axes if axis.name not in used]
    return _best(kept, free[0] if free else view.axes[0])


def _pick_named(view: FrontView, choice: str) -> Point:
    if choice == "knee":
        return knee(view)
    if choice.startswith("best:"):
        return _best(view.front, _axis(view, choice.removeprefix("best:")))
    if re.fullmatch(r"#?\d+", choice):
        return _pick_id(view, int(choice.lstrip("#")))
    valid = ["knee", _SPEEDUP, *sorted({axis.name for axis in view.axes})]
    raise unknown_name("choice", choice, valid, where="--pick (knee, ID, best:, <=)")


def _pick_id(view: FrontView, number: int) -> Point:
    for point in view.points:
        if point.id == number:
            if point.on_front:
                return point
            if point.overtaken_by is None:
                raise UserError(f"--pick {number}: not on the front any more; pick another")
            raise UserError(
                f"--pick {number}: not on the front any more, overtaken by "
                f"{point.overtaken_by}; pick {point.overtaken_by}"
            )
    ids = [point.id for point in view.front]
    close = min(ids, key=lambda other: abs(other - number))
    listed = ", ".join(map(str, ids[:12])) + (", ..." if len(ids) > 12 else "")
    raise UserError(
        f"--pick {number}: no such point on the front; nearest {close} (on the front: {listed})"
    )


def _best(points: Sequence[Point], axis: Axis) -> Point:
    return min(points, key=lambda point: (axis.signed(point.value(axis.name)), point.id))


def _axis(view: FrontView, name: str) -> Axis:
    """An objective of the search, or another that was measured or reported beside it.

    Raises:
        UserError: when not every point of the front has it.
    """
    axis = view.axis(name)
    if axis is not None:
        return axis
    names = sorted(set.intersection(*(set(point.values) for point in view.front)))
    if name not in names:
        raise unknown_name("objective", name, [*names, _SPEEDUP], where="--pick")
    objective = find(name)
    return Axis(name, objective.direction, objective.unit)


def _scaled(points: Sequence[Point], axis: Axis) -> Array:
    """[N] values to be minimised, on 0..1 between the front's best and worst."""
    values = np.array([point.value(axis.name) for point in points], dtype=np.float64)
    if (values > 0).all():
        values = np.log10(values)
    signed = -values if axis.direction == "maximize" else values
    span = float(np.ptp(signed))
    return np.asarray((signed - signed.min()) / (span or 1.0))


def _default(view: FrontView) -> Speed | None:
    """The comparison with full quality; None without baselines or anything that stands for time."""
    return speed(view) if view.baselines and _time_axis(view) is not None else None


def _time_axis(view: FrontView) -> Axis | None:
    points = [*view.front, *view.baselines]
    for name in _SPEEDS:
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
