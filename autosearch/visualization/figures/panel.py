"""One panel: the front, the baselines and the reference on two objectives."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from autosearch.study.front import Front
from autosearch.study.point import Axis, Point
from autosearch.visualization.figures.axes_scales import set_scales
from autosearch.visualization.figures.drawing import plain_text
from autosearch.visualization.figures.labels import label_at_right
from autosearch.visualization.figures.markers import (
    FRONT,
    LINE,
    OTHER,
    REFERENCE,
    BaselineGroup,
    families,
)

__all__ = ["draw_panel"]

_MOST_NUMBERS = 20


def draw_panel(
    axes: Any, front: Front, x: Axis, y: Axis, *, names: bool = True, hover: bool = False
) -> None:
    """Draw the front, the baselines and the reference on two objectives.

    Args:
        axes: where to draw.
        front: of a study.
        x: the objective across.
        y: the objective up.
        names: whether families of baselines are named at the right.
        hover: whether unseen marks stand where a page says what a point is.
    """
    grouped, others = families(front)
    shown = [point for family in grouped for point in family.points]
    set_scales(axes, front.shown, x, y, cost=front.cost, reference=front.reference_value(y.name))
    _front(axes, front, x, y)
    rings: dict[str, Any] = {"mfc": "none", "ls": "none"}
    if front.overtaken:
        rings |= {"mec": FRONT, "ms": 8, "label": "overtaken"}
        axes.plot(*_xy(front.overtaken, x, y), "o", zorder=3, **rings)
    if front.knee is not None:
        rings |= {"mec": REFERENCE, "ms": 15, "label": "knee"}
        axes.plot(*_xy([front.knee], x, y), "o", zorder=4.5, **rings)
    if others:
        axes.plot(*_xy(others, x, y), ".", color=OTHER, ms=4, zorder=1, label="other baselines")
    for family in grouped:
        _family(axes, family, x, y, None if names else family.name)
    if front.cost == x:
        costs = sorted({point.value(x.name) for point in [*shown, *others]})
        for family in grouped:
            _join(axes, family, costs, x, y)
    _reference(axes, front, y)
    for point in front.shown if hover else ():
        place = [point.value(x.name)], [point.value(y.name)]
        axes.plot(*place, "o", ms=16, alpha=0, zorder=10, gid=f"point-{point.id}")
    axes.set_xlabel(plain_text(x.label))
    axes.set_ylabel(
        plain_text(y.label) + f", {'higher' if y.direction == 'maximize' else 'lower'} is better"
    )
    axes.grid(True, which="both", lw=0.4, color=LINE)
    axes.set_axisbelow(True)
    if names and grouped:
        label_at_right(axes, [(f.name, f.points[-1], f.marker) for f in grouped], x, y)


def _family(axes: Any, family: BaselineGroup, x: Axis, y: Axis, label: str | None) -> None:
    """A baseline's marks; of those on the front they stand round the front's filled point."""
    points = _xy(family.points, x, y)
    axes.plot(
        *points,
        family.marker,
        color=OTHER,
        mfc="white",
        ms=6,
        zorder=2,
        label=plain_text(label) if label else None,
    )
    winners = [point for point in family.points if point.on_front]
    axes.plot(*_xy(winners, x, y), family.marker, color=OTHER, mfc="white", ms=13, zorder=2.5)


def _join(axes: Any, family: BaselineGroup, costs: Sequence[float], x: Axis, y: Axis) -> None:
    """A thin line through neighbouring costs, broken where one between them is missing."""
    for a, b in itertools.pairwise(family.points):
        if costs.index(b.value(x.name)) <= costs.index(a.value(x.name)) + 1:
            axes.plot(*_xy([a, b], x, y), ls=":", lw=0.8, color=OTHER, zorder=1.5)


def _xy(points: Sequence[Point], x: Axis, y: Axis) -> tuple[list[float], list[float]]:
    return [p.value(x.name) for p in points], [p.value(y.name) for p in points]


def _front(axes: Any, front: Front, x: Axis, y: Axis) -> None:
    points = sorted(front.front, key=lambda point: (point.value(x.name), point.value(y.name)))
    if not points:
        return
    xs, ys = _xy(points, x, y)
    if front.cost == x and len(front.axes) == 2:
        # Between two points, and beyond the last, the cheaper one is the best there is: a step.
        end = max(point.value(x.name) for point in front.shown)
        axes.step([*xs, end], [*ys, ys[-1]], where="post", color=FRONT, lw=1.8, zorder=3)
    several = len(front.axes) > 2
    if several:
        _numbers(axes, points, x, y)
    axes.errorbar(
        xs,
        ys,
        yerr=_errors(points, y),
        xerr=_errors(points, x),
        fmt="o",
        color=FRONT,
        ms=8,
        capsize=3,
        lw=1.2,
        # Points of a front of three stand close: their bars must not hide their neighbours.
        elinewidth=0.7 if several else 1.2,
        zorder=4,
        label="front (search values)" if front.validated_on is None else "front, 95% interval",
    )


def _numbers(axes: Any, points: Sequence[Point], x: Axis, y: Axis) -> None:
    """Names of searched points beside them, where they are few enough to be told apart."""
    searched = [point for point in points if point.baseline is None]
    for point in searched if len(searched) <= _MOST_NUMBERS else []:
        place = (point.value(x.name), point.value(y.name))
        offset = {"xytext": (6, 5), "textcoords": "offset points"}
        axes.annotate(plain_text(point.name), place, **offset, fontsize=8, color=FRONT, zorder=6)


def _reference(axes: Any, front: Front, y: Axis) -> None:
    """Draw the reference as a dashed line with a label; alone where a log axis lacks its value."""
    level = front.reference_value(y.name)
    if level is None or front.reference is None:
        return
    text = f"reference {front.reference.recipe}: {level:.3g}"
    place, y_place = (0.01, level), "data"
    if axes.get_yscale() == "log" and level <= 0:
        text, place, y_place = f"{text} (below this axis)", (0.01, 0.01), "axes fraction"
    else:
        axes.axhline(level, color=REFERENCE, ls="--", lw=1.2, zorder=1)
    style = {"xytext": (0, 3), "textcoords": "offset points", "color": REFERENCE, "fontsize": 9}
    axes.annotate(plain_text(text), place, xycoords=("axes fraction", y_place), **style)


def _errors(points: Sequence[Point], axis: Axis) -> Any:
    """[2, N] distances to the ends of the intervals, none for exact values."""
    ends = np.array([point.interval(axis.name) for point in points]).reshape(-1, 2)
    values = np.array([point.value(axis.name) for point in points])
    errors = np.stack([values - ends[:, 0], ends[:, 1] - values])
    return errors if errors.any() else None
