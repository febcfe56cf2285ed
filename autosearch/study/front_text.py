"""A front as plain text, at most 100 columns wide."""

import textwrap

from autosearch.objectives import half_width
from autosearch.study.front import Front
from autosearch.study.hypervolume import UPPER
from autosearch.study.point import Axis, Point
from autosearch.study.study import UNIMPROVED, UNIMPROVED_TEXT
from autosearch.study.teacher import teacher_text, within_text
from autosearch.text import align, amount_with_error, column_widths, number, with_error

__all__ = ["MOST_ROWS", "front_text", "point_text", "spent_text"]

WIDTH = 100
MOST_ROWS = 12
_NAME_WIDTH = 24
_LEAST_NAME = 8
# Ratios mean nothing near zero, where a bias-corrected distance may even be negative.
_LEAST_RATIO = 1e-9

MEASURED_NOTE = "~: measured, where each sample decides what it computes; the plan gives a bound"
_BASELINE_NOTE = "baseline: the best at the same or nearest cost; intervals from the same noise"
_KNEE_NOTE = "*: the knee; beyond it, little of one objective costs much of another"


def front_text(front: Front, *, most: int | None = MOST_ROWS) -> str:
    """The table, what was overtaken, and the lines below, ending in a newline.

    Args:
        front: what to show.
        most: how many points at most: the ends, the knee, and an even spread over cost; None for
            all, and those that were overtaken as well.
    """
    shown = front.front if most is None else front.spread(most)
    for room in range(_NAME_WIDTH, _LEAST_NAME - 1, -1):
        table = [_headings(front), *(_row(front, point, room) for point in shown)]
        widths = column_widths(table)
        if sum(widths) + 2 * (len(widths) - 1) <= WIDTH:
            break
    table.insert(1, ["-" * width for width in widths])
    lines = [_title(front), "", *align(table, _is_name), "", *_reported(front, shown)]
    if most is None and front.overtaken:
        lines += ["overtaken: beaten on fresh noise, or at a lower cost", ""]
        lines += [*align(_overtaken(front), _is_name), ""]
    return "\n".join(line.rstrip() for line in [*lines, *_notes(front, shown)]) + "\n"


def _overtaken(front: Front) -> list[list[str]]:
    """The points off the front as rows, with who beats them."""
    rows = [[*_headings(front)[:-3], "overtaken by"]]
    for point in front.overtaken:
        by = "" if point.overtaken_by is None else front.by_number[point.overtaken_by].name
        rows.append([*_row(front, point, _LEAST_NAME)[: len(rows[0]) - 1], by])
    return [rows[0], ["-" * width for width in column_widths(rows)], *rows[1:]]


def _headings(front: Front) -> list[str]:
    cost = _cost_column(front)
    names = ["steps", *([] if cost is None else [cost.name])]
    names += ["recipe", "search", f"{front.quality.name} (95%)"]
    return [
        *names,
        *(axis.name for axis in _others(front)),
        "baseline",
        "its value",
        "against it (95%)",
    ]


def _notes(front: Front, shown: list[Point]) -> list[str]:
    """What stands below the table: other points, reference, hypervolume, cost."""
    if front.front:
        lines = [_BASELINE_NOTE, _KNEE_NOTE]
    else:
        lines = [f"nothing on the front: {front.unmet or 'no candidate has a result yet'}"]
    if any(point.measured(axis.name) for point in shown for axis in front.axes):
        lines.append(MEASURED_NOTE)
    if more := len(front.front) - len(shown):
        lines.append(f"{more} more on the front: autosearch front DIR --all")
    if front.folded:
        lines.append(f"{len(front.folded)} more, worse than {', '.join(front.folded_below)}")
    if front.validated_on is None:
        lines.append("not validated yet: values are the search's, and flatter the winners")
        if front.noise == "fresh":
            lines.append("each on its own noise: differences between them are partly the noise's")
    if front.overtaken:
        fallen = ", ".join(
            point.name + (f" (by #{point.overtaken_by})" if point.overtaken_by is not None else "")
            for point in front.overtaken
        )
        lines += textwrap.wrap(f"overtaken: {fallen}", WIDTH, subsequent_indent="  ")
    lines += _absent(front)
    name, reference = front.quality.name, front.reference
    # A teacher's own distance to itself is no news; its error is told below.
    if reference is not None and reference.samples and name in front.reference_values:
        value = front.reference_values[name]
        shown_value = with_error(value.value, half_width(value.value, value.interval()))
        lines.append(
            f"reference {reference.recipe}: {name} {shown_value} ({reference.samples:,} samples)"
        )
    lines += _teacher_lines(front)
    said = {"search": f"search, {UPPER}"}
    volumes = [
        f"{volume:.4f} ({said.get(kind, kind)})"
        for kind, volume in front.hypervolume.items()
        if volume is not None
    ]
    if volumes:
        lines.append(f"hypervolume {', '.join(volumes)}")
    elif front.hypervolume_left_out:
        lines.append(f"hypervolume left out: too many points of {len(front.axes)} objectives")
    if front.latency:
        lines.append(
            "latency: predicted in the search, measured alone for "
            f"{front.latency['measured']} recipes; median error "
            f"{100 * front.latency['median_error']:.0f}%, "
            f"largest {100 * front.latency['largest_error']:.0f}%"
        )
    return [*lines, *_ended(front), _cost_line(front)]


def _ended(front: Front) -> list[str]:
    """That the search found nothing, where it did not."""
    return textwrap.wrap(UNIMPROVED_TEXT, WIDTH) if front.stopped == UNIMPROVED else []


def _teacher_lines(front: Front) -> list[str]:
    """The teacher's own error, and who is within it."""
    if front.teacher is None:
        return []
    near = within_text([point.name for point in front.within_teacher])
    wrapped = textwrap.wrap(" ".join(near), WIDTH, subsequent_indent="  ")
    return [teacher_text(front.teacher.recipe, front.teacher.errors), *wrapped]


def _absent(front: Front) -> list[str]:
    """What was asked for and is not there."""
    names = [front.by_number[i].name for i in front.lost if i in front.by_number]
    lines = [f"not validated: {', '.join(names)}"] if names else []
    lines += [f"missing: {part}" for part in front.missing]
    return [part for line in lines for part in textwrap.wrap(line, WIDTH, subsequent_indent="  ")]


def _title(front: Front) -> str:
    """A line that says what was searched on which model, and how it was checked."""
    text = f"{front.study}: front of {', '.join(a.name for a in front.axes)} on {front.model}"
    if front.validated_on is not None:
        text += f", validated on {front.validated_on[1]} fresh samples"
    return text


def point_text(front: Front, point: Point) -> str:
    """A point in one line: its name, its steps and its value of each objective."""
    values = ", ".join(
        f"{a.name} {amount_with_error(point.value(a.name), point.half_width(a.name))}"
        for a in front.axes
    )
    return f"{point.name}, {point.steps} steps: {values}"


def spent_text(spent: float, nominal: float, *, cuts: int = 0) -> str:
    """What was executed, beside what it would be if nothing were reused or cut short.

    ``cuts``: how many runs were killed; what was in flight then is not counted.
    """
    text = f"{'at least ' if cuts else ''}{spent:,.0f} forward equivalents"
    return f"{text} of {nominal:,.0f} nominal" if round(nominal) > round(spent) else text


def _reported(front: Front, shown: list[Point]) -> list[str]:
    """What was measured besides the objectives, side by side: one quality alone may mislead."""
    objectives = {axis.name for axis in front.axes}
    everything = dict.fromkeys(name for point in shown for name in point.names)
    names = [name for name in everything if name not in objectives]
    if not names:
        return []
    cells = [
        [p.name, *(number(p.value(name)) if name in p.names else "-" for name in names)]
        for p in shown
    ]
    return [*align([["also measured", *names], *cells], _is_name), ""]


def _row(front: Front, point: Point, room: int) -> list[str]:
    quality = front.quality.name
    cells = [str(point.steps)]
    if (cost := _cost_column(front)) is not None:
        cells.append(_exact(point, cost.name))
    search, validated = point.search.get(quality), point.validated.get(quality)
    cells += [
        _cut(point.name, room) + (" *" if point is front.knee else ""),
        "" if search is None else number(search.value),
        "-" if validated is None else with_error(validated.value, point.half_width(quality)),
        *(_exact(point, axis.name) for axis in _others(front)),
    ]
    versus = front.versus(point)
    if versus is None:
        return [*cells, "none", "", ""]
    if front.is_best_baseline(point):
        return [*cells, "itself", "", ""]
    theirs = versus.baseline.value(quality)
    difference = _relative(versus.difference, versus.half, theirs)
    return [*cells, _cut(versus.baseline.name, room), number(theirs), difference]


def _exact(point: Point, name: str) -> str:
    return number(point.value(name)) + ("~" if point.measured(name) else "")


def _cost_column(front: Front) -> Axis | None:
    """The cost, unless it is the number of steps itself: each step one call of the network."""
    cost = front.cost
    steps = cost is not None and cost.name == "nfe"
    return None if steps and all(p.value("nfe") == p.steps for p in front.front) else cost


def _relative(difference: float, half: float, theirs: float) -> str:
    """The difference in per cent of a baseline's value, or as it is where that means nothing."""
    if theirs > _LEAST_RATIO and -difference < theirs:
        text, error = f"{100 * difference / theirs:+.0f}%", f" ± {100 * half / theirs:.0f}%"
        return text + error * (half > 0)
    return "+" * (difference >= 0) + with_error(difference, half)


def _others(front: Front) -> list[Axis]:
    return [axis for axis in front.axes if axis not in (front.cost, front.quality)]


def _cost_line(front: Front) -> str:
    cost = front.spending
    spent = spent_text(
        cost["forward_equivalents"],
        cost["forward_equivalents_nominal"],
        cuts=cost.get("cuts", 0),
    )
    text = (
        f"{cost['candidates']} candidates, {spent}, {cost['duplicates_avoided']} duplicates avoided"
    )
    if cost["infeasible"]:
        text += f", {cost['infeasible']} infeasible"
    if cost["seconds_proposing"] >= 1:
        text += f", {cost['seconds_proposing']:,.0f} s of proposing"
    if cost["failed"]:
        text += f", {cost['failed']} failed"
    return text


def _is_name(column: int, cell: str) -> bool:
    """Whether a cell is a name, which stands to the left; numbers stand to the right."""
    return bool(cell) and (cell[0].isalpha() or cell[0] == "#")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."
