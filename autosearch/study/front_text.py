"""The table of a front as plain text, at most 100 columns wide."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.study.front_view import Axis, FrontView, Point
from autosearch.text import align, column_widths, number, with_error

__all__ = ["columns", "front_text", "rows", "spent_text", "summary_lines", "title"]

WIDTH = 100
_NAME_WIDTH = 24
_LEAST_NAME = 8
# Ratios mean nothing near zero, where a bias-corrected distance may even be negative.
_LEAST_RATIO = 1e-9

MEASURED_NOTE = "~: measured, where each sample decides what it computes; the plan gives a bound"
_HEADINGS_NOTE = "gap: to the best baseline at the same cost, or at the nearest one"


def front_text(table: Mapping[str, Any]) -> str:
    """The table, what was overtaken, and the lines below, ending in a newline."""
    view = FrontView(table)
    names = columns(view)
    body = _fit(names, rows(view))
    rule = ["-" * width for width in column_widths([names, *body])]
    table_lines = align([names, rule, *body], _is_name)
    lines = [title(view), "", *table_lines, "", *summary_lines(view)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def columns(view: FrontView) -> list[str]:
    """The headings of the table's columns."""
    names = ["steps"]
    if (cost := _cost_column(view)) is not None:
        names.append(cost.name)
    names += ["recipe", "search", f"{view.quality.name} (95%)"]
    names += [axis.name for axis in _others(view)]
    return [*names, "baseline", "its value", "gap"]


def rows(view: FrontView) -> list[list[str]]:
    """A row for each point of the front, cheapest first."""
    return [_row(view, point) for point in view.front]


def summary_lines(view: FrontView) -> list[str]:
    """What stands below the table: overtaken points, reference, hypervolume, cost."""
    table, lines = view.table, _reported(view)
    if not view.front:
        lines.append("nothing on the front: no candidate has a result yet")
    else:
        lines.append(_HEADINGS_NOTE)
    if any(point.measured(axis.name) for point in view.front for axis in view.axes):
        lines.append(MEASURED_NOTE)
    if not view.validated:
        lines.append("not validated yet: values are the search's, and flatter the winners")
        if table.get("noise") == "fresh":
            lines.append("each on its own noise: differences between them are partly the noise's")
    if view.overtaken:
        fallen = ", ".join(
            point.name + (f" (by #{point.overtaken_by})" if point.overtaken_by is not None else "")
            for point in view.overtaken
        )
        lines += textwrap.wrap(f"overtaken: {fallen}", WIDTH, subsequent_indent="  ")
    level = view.reference_value(view.quality.name)
    if level is not None:
        recipe = table["reference"]["recipe"]
        lines.append(f"reference {recipe}: {view.quality.name} {number(level)}")
    volume = table["hypervolume"]
    volumes = [
        f"{volume[kind]:.4f} ({kind})"
        for kind in ("search", "validated")
        if volume[kind] is not None
    ]
    if volumes:
        lines.append(f"hypervolume {', '.join(volumes)}")
    if latency := table.get("latency"):
        lines.append(
            "latency: predicted in the search, measured alone for "
            f"{latency['measured']} recipes; median error {100 * latency['median_error']:.0f}%, "
            f"largest {100 * latency['largest_error']:.0f}%"
        )
    return [*lines, _cost_line(table["cost"])]


def _reported(view: FrontView) -> list[str]:
    """What was measured besides the objectives, side by side: one quality alone may mislead."""
    objectives = {axis.name for axis in view.axes}
    names = dict.fromkeys(name for point in view.front for name in point.values)
    cells = {name: [_cell(point, name) for point in view.front] for name in names}
    shown = [name for name in names if name not in objectives and set(cells[name]) != {"-"}]
    if not shown:
        return []
    recipes = ["also measured", *(point.name for point in view.front)]
    columns = [recipes, *([name, *cells[name]] for name in shown)]
    return [*align(list(zip(*columns, strict=True)), _is_name), ""]


def _cell(point: Point, name: str) -> str:
    try:
        return number(point.value(name))
    except KeyError:
        return "-"


def title(view: FrontView) -> str:
    """A line that says what was searched on which model, and how it was checked."""
    names = ", ".join(axis.name for axis in view.axes)
    text = f"{view.table['study']}: front of {names} on {view.table['model']}"
    samples = view.table.get("samples", {})
    if view.validated and samples.get("validated"):
        text += f", validated on {samples['validated']} fresh samples"
    return text


def _row(view: FrontView, point: Point) -> list[str]:
    quality = view.quality.name
    cells = [str(point.steps)]
    if (cost := _cost_column(view)) is not None:
        cells.append(_cost(point, cost.name))
    searched = point.search(quality)
    cells += [
        _cut(point.name),
        "" if searched is None else number(searched),
        _validated(point, quality),
    ]
    cells += [_cost(point, axis.name) for axis in _others(view)]
    rivals = view.same_cost(point)
    ours = point.value(quality)
    if not rivals:
        return [*cells, "none", "", ""]
    best = rivals[0]
    theirs = best.value(quality)
    if point.baseline is not None and not view.quality.better(theirs, ours):
        return [*cells, "itself", "", ""]
    return [*cells, _cut(best.name), number(theirs), _gap(ours, theirs)]


def _cost(point: Point, name: str) -> str:
    return number(point.value(name)) + ("~" if point.measured(name) else "")


def _cost_column(view: FrontView) -> Axis | None:
    """The cost, unless it is the number of steps itself."""
    cost = view.cost
    if cost is None or (cost.name == "nfe" and all(_one_each(point) for point in view.front)):
        return None
    return cost


def _one_each(point: Point) -> bool:
    """Whether each step is one evaluation of the network."""
    return point.value("nfe") == point.steps


def _validated(point: Point, objective: str) -> str:
    value = point.validated(objective)
    return "-" if value is None else with_error(value, point.half_width(objective))


def _gap(ours: float, theirs: float) -> str:
    """The relative difference in per cent, or the difference where a ratio means nothing."""
    if ours > 0 and theirs > _LEAST_RATIO:
        return f"{100 * (ours / theirs - 1):+.0f}%"
    return f"{ours - theirs:+.2g}"


def _others(view: FrontView) -> list[Axis]:
    return [axis for axis in view.axes if axis not in (view.cost, view.quality)]


def _cost_line(cost: Mapping[str, Any]) -> str:
    spent = spent_text(cost["forward_equivalents"], cost["forward_equivalents_nominal"])
    text = (
        f"{cost['candidates']} candidates, {spent}, {cost['duplicates_avoided']} duplicates avoided"
    )
    if cost["infeasible"]:
        text += f", {cost['infeasible']} infeasible"
    if cost.get("seconds_proposing", 0.0) >= 1:
        text += f", {cost['seconds_proposing']:,.0f} s of proposing"
    if cost["failed"]:
        text += f", {cost['failed']} failed"
    return text


def spent_text(spent: float, nominal: float) -> str:
    """What was executed, beside what it would be if nothing were reused or cut short."""
    text = f"{spent:,.0f} forward equivalents"
    return f"{text} of {nominal:,.0f} nominal" if round(nominal) > round(spent) else text


def _is_name(column: int, cell: str) -> bool:
    """Whether a cell is a name, which stands to the left; numbers stand to the right."""
    return bool(cell) and (cell[0].isalpha() or cell[0] == "#")


def _cut(text: str, width: int = _NAME_WIDTH) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _fit(names: Sequence[str], body: list[list[str]]) -> list[list[str]]:
    """The rows with recipes' names cut as far as the width asks."""
    cut = body
    for room in range(_NAME_WIDTH, _LEAST_NAME - 1, -1):
        cut = [[_cut(cell, room) if _is_name(0, cell) else cell for cell in row] for row in body]
        if sum(column_widths([names, *cut])) + 2 * (len(names) - 1) <= WIDTH:
            break
    return cut
