"""Choosing one point of a front: the knee, an id, the best of an objective, a limit."""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autosearch.errors import UserError, unknown_name
from autosearch.front_view import Axis, FrontView, Point, number
from autosearch.registry import find

__all__ = ["knee", "pick"]

Array = NDArray[np.float64]

_LIMIT = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=)\s*(\S+)\s*")


def pick(view: FrontView, choice: str) -> Point:
    """The point of the front that a choice names.

    Args:
        view: the table.
        choice: ``knee``, an id, ``best:OBJECTIVE``, ``OBJECTIVE<=VALUE`` or ``OBJECTIVE>=VALUE``.
            A limit gives the point that keeps it and is best in the first objective that the
            limit does not name: ``nfe<=5`` the best quality in five evaluations, ``fid<=2`` the
            cheapest way to that quality.

    Raises:
        UserError: when nothing is on the front, or nothing answers to the choice.
    """
    if not view.front:
        raise UserError("--pick: the front is empty; let the search run longer first")
    limit = _LIMIT.fullmatch(choice)
    if limit:
        return _limited(view, *limit.groups())
    if choice == "knee":
        return knee(view)
    if choice.startswith("best:"):
        return _best(view.front, _axis(view, choice.removeprefix("best:")))
    if re.fullmatch(r"#?\d+", choice):
        return _by_id(view, int(choice.lstrip("#")))
    raise unknown_name(
        "choice", choice, ["knee", *_names(view)], where="--pick (knee, ID, best:, <=)"
    )


def knee(view: FrontView) -> Point:
    """The point where giving up a little of one objective buys the most of the other.

    Two objectives: the largest distance below the chord between the ends of the front, on axes
    scaled to 0..1, logarithmic where all values are positive (Das 1999; Branke et al. 2004). Any
    other number of objectives, and fronts of fewer than three points: the smallest distance to
    the ideal point on the same axes. Ties go to the better first objective.
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


def _scaled(points: Sequence[Point], axis: Axis) -> Array:
    """[N] values to be minimised, on 0..1 between the front's best and worst."""
    values = np.array([point.value(axis.name) for point in points], dtype=np.float64)
    if (values > 0).all():
        values = np.log10(values)
    signed = -values if axis.direction == "maximize" else values
    span = float(np.ptp(signed))
    return np.asarray((signed - signed.min()) / (span or 1.0))


def _by_id(view: FrontView, number_: int) -> Point:
    for point in view.points:
        if point.id == number_:
            if not point.on_front:
                raise UserError(
                    f"--pick {number_}: not on the front any more, overtaken by "
                    f"{point.overtaken_by}; pick {point.overtaken_by}"
                )
            return point
    ids = [point.id for point in view.front]
    close = min(ids, key=lambda other: abs(other - number_))
    listed = ", ".join(map(str, ids[:12])) + (", ..." if len(ids) > 12 else "")
    raise UserError(
        f"--pick {number_}: no such point on the front; nearest {close} (on the front: {listed})"
    )


def _limited(view: FrontView, name: str, relation: str, text: str) -> Point:
    axis = _axis(view, name)
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise UserError(f"--pick {name}{relation}{text}: {text!r} is not a number")
    upper = relation == "<="
    keeping = [
        point
        for point in view.front
        if (point.value(name) <= bound if upper else point.value(name) >= bound)
    ]
    if not keeping:
        values = [point.value(name) for point in view.front]
        nearest = min(values) if upper else max(values)
        raise UserError(
            f"--pick {name}{relation}{text}: no point of the front keeps it; the nearest has "
            f"{name} {number(nearest)}"
        )
    others = [other for other in view.axes if other.name != axis.name]
    return _best(keeping, others[0] if others else axis)


def _best(points: Sequence[Point], axis: Axis) -> Point:
    return min(points, key=lambda point: (axis.signed(point.value(axis.name)), point.id))


def _axis(view: FrontView, name: str) -> Axis:
    """An objective of the search, or another that was measured or reported beside it."""
    axis = view.axis(name)
    if axis is not None:
        return axis
    if name not in _names(view):
        raise unknown_name("objective", name, _names(view), where="--pick")
    objective = find("objective", name)
    return Axis(name, objective.direction, objective.unit)


def _names(view: FrontView) -> list[str]:
    """Values that every point of the front has."""
    shared = set.intersection(*(set(point.values) for point in view.front))
    return sorted(shared)
