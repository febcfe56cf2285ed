"""The tables of points: search value beside validated value, their gap, the baseline there."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch.study.front import Front
from autosearch.study.pick import Speed
from autosearch.study.point import Axis, Point
from autosearch.text import amount, amount_with_error

__all__ = ["Cell", "Row", "Table", "more_table", "point_table"]


@dataclass(frozen=True)
class Cell:
    """A cell; ``value`` is its number in full, as in ``front.json``."""

    text: str
    value: float | None = None
    what: str = ""
    words: bool = False


@dataclass(frozen=True)
class Row:
    """A point and its cells; ``anchor`` is where its recipe is drawn."""

    name: str
    id: int
    anchor: str | None
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """Headings, above them groups with the number of columns that they span, and rows."""

    groups: list[tuple[str, int]]
    headings: list[str]
    rows: list[Row]


def point_table(
    front: Front, points: Sequence[Point], speed: Speed | None, *, drawn: Sequence[int] = ()
) -> Table:
    """A row for each point; for each measured objective its two values and their gap.

    An objective that plans declare has one column, for it is the same on any noise.
    """
    measured = {axis.name for axis in front.axes if _is_measured(front, axis)}
    groups, headings = [("", 2)], ["recipe", "steps"]
    for axis in front.axes:
        if axis.name in measured:
            groups.append((axis.name, 3))
            headings += ["search", "fresh noise (95%)", "gap"]
        else:
            groups.append((axis.name, 1))
            headings.append("exact")
    if speed is not None:
        groups.append((f"against {speed.base.name}", 1))
        headings.append("speed-up")
    groups.append(("best baseline at the nearest cost", 3))
    headings += ["name", f"its {front.quality.name}", "difference (95%)"]
    rows = []
    for point in points:
        cells = [Cell(str(point.steps))]
        for axis in front.axes:
            cells += _values(point, axis, measured=axis.name in measured)
        if speed is not None:
            cells.append(Cell(f"{speed.of(point):.2f}x", speed.of(point), "speed-up"))
        cells += _rival(front, point)
        anchor = f"recipe-{point.id}" if point.id in drawn else None
        name = f"{point.name} (knee)" if point is front.knee else point.name
        rows.append(Row(name, point.id, anchor, cells))
    return Table(groups, headings, rows)


def more_table(front: Front, points: Sequence[Point]) -> Table | None:
    """What was measured beside the objectives; None where nothing was."""
    shown = {axis.name for axis in front.axes}
    names = dict.fromkeys(name for p in points for name in p.names if name not in shown)
    if not names:
        return None
    rows = [Row(p.name, p.id, None, [_extra_cell(p, name) for name in names]) for p in points]
    return Table([], ["recipe", *names], rows)


def _is_measured(front: Front, axis: Axis) -> bool:
    return any(p.half_width(axis.name) > 0 for p in front.shown if axis.name in p.names)


def _values(point: Point, axis: Axis, *, measured: bool) -> list[Cell]:
    name = axis.name
    both = (estimates.get(name) for estimates in (point.search, point.validated))
    searched, validated = (None if one is None else one.value for one in both)
    if not measured:
        return [Cell(amount(point.value(name)), point.value(name), f"{name} exact")]
    cells = [Cell("-") if searched is None else Cell(amount(searched), searched, f"{name} search")]
    if validated is None:
        return [*cells, Cell("not yet"), Cell("-")]
    text = amount_with_error(validated, point.half_width(name))
    cells.append(Cell(text, validated, f"{name} validated"))
    if searched is None:
        return [*cells, Cell("-")]
    gap = validated - searched
    return [*cells, Cell(f"{'+' if gap >= 0 else '-'}{amount(abs(gap))}", gap, f"{name} gap")]


def _rival(front: Front, point: Point) -> list[Cell]:
    """The best baseline at the point's cost, its quality, and the paired difference to it."""
    versus, name = front.versus(point), front.quality.name
    if versus is None:
        return [Cell("none", words=True), Cell(""), Cell("")]
    if front.is_best_baseline(point):
        return [Cell("itself", words=True), Cell(""), Cell("")]
    theirs, half = versus.baseline.value(name), versus.baseline.half_width(name)
    return [
        Cell(versus.baseline.name, words=True),
        Cell(amount_with_error(theirs, half), theirs),
        Cell(amount_with_error(versus.difference, versus.half), versus.difference, "versus"),
    ]


def _extra_cell(point: Point, name: str) -> Cell:
    if name not in point.names:
        return Cell("-")
    value = point.value(name)
    return Cell(amount_with_error(value, point.half_width(name)), value, name)
