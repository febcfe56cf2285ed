"""Choosing one point of a front: the knee, an id, the best of an objective, a limit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autosearch.errors import UserError, unknown_name
from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.study.limits import SPEEDUP, Limit, named_axis, parse_limits, within
from autosearch.study.speedup import Speed, has_speed, speed

__all__ = ["Picked", "knee", "pick", "picked"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Picked:
    """A point, and what it was compared with.

    Attributes:
        speed: the baseline that speed-ups are counted against, the one that the choice names or
            the one that stands for full quality; None where the front has none.
    """

    point: Point
    speed: Speed | None


def pick(view: FrontView, choice: str) -> Point:
    """The point of the front that a choice names; see :func:`picked`."""
    return picked(view, choice).point


def picked(view: FrontView, choice: str) -> Picked:
    """The point of the front that a choice names, and what its speed is compared with.

    Args:
        view: the table.
        choice: ``knee``, an id, ``best:OBJECTIVE``, ``OBJECTIVE<=VALUE``, ``OBJECTIVE>=VALUE``,
            ``speedup>=VALUE`` or ``speedup>=VALUE over BASELINE``; limits may be joined by commas.
            Limits give the point that keeps them and is best in the first objective that none of
            them names: ``nfe<=5`` the best quality in five evaluations, ``fid<=2`` the cheapest
            way to that quality. With a speed-up it is the best first quality; see
            :func:`autosearch.study.speedup.speed` for what it is compared with.

    Raises:
        UserError: when nothing is on the front, or nothing answers to the choice.
    """
    if not view.front:
        raise UserError("--pick: the front is empty; let the search run longer first")
    limits = parse_limits(view, choice)
    if limits is not None:
        known = next((limit.speed for limit in limits if limit.speed is not None), None)
        return Picked(_limited(view, limits), known or _default(view))
    return Picked(_named(view, choice.strip()), _default(view))


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


def _scaled(points: Sequence[Point], axis: Axis) -> Array:
    """[N] values to be minimised, on 0..1 between the front's best and worst."""
    values = np.array([point.value(axis.name) for point in points], dtype=np.float64)
    if (values > 0).all():
        values = np.log10(values)
    signed = -values if axis.direction == "maximize" else values
    span = float(np.ptp(signed))
    return np.asarray((signed - signed.min()) / (span or 1.0))


def _default(view: FrontView) -> Speed | None:
    return speed(view) if has_speed(view) else None


def _named(view: FrontView, choice: str) -> Point:
    if choice == "knee":
        return knee(view)
    if choice.startswith("best:"):
        return _best(view.front, named_axis(view, choice.removeprefix("best:")))
    if re.fullmatch(r"#?\d+", choice):
        return _by_id(view, int(choice.lstrip("#")))
    valid = ["knee", SPEEDUP, *sorted({axis.name for axis in view.axes})]
    raise unknown_name("choice", choice, valid, where="--pick (knee, ID, best:, <=)")


def _by_id(view: FrontView, number: int) -> Point:
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


def _limited(view: FrontView, limits: Sequence[Limit]) -> Point:
    """The best of what keeps the limits, in the first objective that none of them names."""
    kept = within(view.front, limits)
    used = {limit.name for limit in limits}
    if SPEEDUP in used and view.quality.name not in used:
        return _best(kept, view.quality)
    free = [axis for axis in view.axes if axis.name not in used]
    return _best(kept, free[0] if free else view.axes[0])


def _best(points: Sequence[Point], axis: Axis) -> Point:
    return min(points, key=lambda point: (axis.signed(point.value(axis.name)), point.id))
