"""The tables of points: search value beside validated value, their gap, the baseline there."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.study.pick import Speed
from autosearch.text import amount, amount_with_error

__all__ = ["Cell", "Row", "Table", "more_table", "point_table", "point_text"]


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


def point_text(view: FrontView, point: Point) -> str:
    """A point in one line: its name, its steps and its value of each objective."""
    values = ", ".join(
        f"{axis.name} {amount_with_error(point.value(axis.name), point.half_width(axis.name))}"
        for axis in view.axes
    )
    return f"{point.name}, {point.steps} steps: {values}"


def point_table(
    view: FrontView, points: Sequence[Point], speed: Speed | None, *, drawn: Sequence[int] = ()
) -> Table:
    """A row for each point; for each measured objective its two values and their gap.

    An objective that plans declare has one column, for it is the same on any noise.
    """
    measured = {axis.name for axis in view.axes if _is_measured(view, axis)}
    groups, headings = [("", 2)], ["recipe", "steps"]
    for axis in view.axes:
        if axis.name in measured:
            groups.append((axis.name, 3))
            headings += ["search", "fresh noise (95%)", "gap"]
        else:
            groups.append((axis.name, 1))
            headings.append("exact")
    if speed is not None:
        groups.append((f"against {speed.base.name}", 1))
        headings.append("speed-up")
    groups.append(("best baseline at the nearest cost", 2))
    headings += ["name", f"its {view.quality.name}"]
    rows = []
    for point in points:
        cells = [Cell(str(point.steps))]
        for axis in view.axes:
            cells += _values(point, axis, measured=axis.name in measured)
        if speed is not None:
            cells.append(Cell(f"{speed.of(point):.2f}x", speed.of(point), "speed-up"))
        cells += _rival(view, point)
        anchor = f"recipe-{point.id}" if point.id in drawn else None
        rows.append(Row(point.name, point.id, anchor, cells))
    return Table(groups, headings, rows)


def more_table(view: FrontView, points: Sequence[Point]) -> Table | None:
    """What was measured beside the objectives; None where nothing was."""
    shown = {axis.name for axis in view.axes}
    names = dict.fromkeys(name for p in points for name in p.values if name not in shown)
    if not names:
        return None
    rows = [Row(p.name, p.id, None, [_extra_cell(p, name) for name in names]) for p in points]
    return Table([], ["recipe", *names], rows)


def _is_measured(view: FrontView, axis: Axis) -> bool:
    points = [*view.points, *view.baselines]
    return any(p.half_width(axis.name) > 0 for p in points if axis.name in p.values)


def _values(point: Point, axis: Axis, *, measured: bool) -> list[Cell]:
    name = axis.name
    searched, validated = point.search(name), point.validated(name)
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


def _rival(view: FrontView, point: Point) -> list[Cell]:
    rivals = view.same_cost(point)
    quality = view.quality
    if not rivals:
        return [Cell("none", words=True), Cell("")]
    theirs = rivals[0].value(quality.name)
    if point.baseline is not None and not quality.better(theirs, point.value(quality.name)):
        return [Cell("itself", words=True), Cell("")]
    half = rivals[0].half_width(quality.name)
    return [Cell(rivals[0].name, words=True), Cell(amount_with_error(theirs, half), theirs)]


def _extra_cell(point: Point, name: str) -> Cell:
    try:
        value = point.value(name)
    except KeyError:
        return Cell("-")
    return Cell(amount_with_error(value, point.half_width(name)), value, name)
