"""A front as plain text, as wide as the terminal, or 100 columns.

Names that are too long for that are cut in their middle, in all tables alike, and told below.
"""

import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from autosearch.objectives import half_width
from autosearch.study.front import Front
from autosearch.study.hypervolume import UPPER
from autosearch.study.point import Axis, Point
from autosearch.study.study import UNIMPROVED, UNIMPROVED_TEXT
from autosearch.study.teacher import teacher_text, within_text
from autosearch.text import align, amount_with_error, column_widths, number, with_error

__all__ = ["MOST_ROWS", "WIDTH", "front_text", "point_text", "spent_text"]

WIDTH = 100
MOST_ROWS = 12
_LEAST_NAME = 8
_CUT = ".."
# What follows the knee's name.
_KNEE = " *"
# The steps at the end of a baseline's name, which tell it from its neighbours.
_STEPS = re.compile(r"@\d+$")

Table = Sequence[Sequence[str]]
# Ratios mean nothing near zero, where a bias-corrected distance may even be negative.
_LEAST_RATIO = 1e-9

MEASURED_NOTE = "~: measured, where each sample decides what it computes; the plan gives a bound"
_BASELINE_NOTE = "baseline: the best at the same or nearest cost; intervals from the same noise"
_KNEE_NOTE = "*: the knee; beyond it, little of one objective costs much of another"


def front_text(front: Front, *, most: int | None = MOST_ROWS, width: int = WIDTH) -> str:
    """The table, what was overtaken, and the lines below, ending in a newline.

    Args:
        front: what to show.
        most: how many points at most: the ends, the knee, and an even spread over cost; None for
            all, and those that were overtaken as well.
        width: in columns, at least 100.
    """
    shown = front.front if most is None else front.spread(most)
    main = [_headings(front), *(_row(front, point) for point in shown)]
    overtaken = _overtaken(front) if most is None and front.overtaken else []
    names = [point.name for point in [*front.points, *front.baselines]]
    short = _short_names(names, [main, overtaken], max(width, WIDTH))
    lines = [_title(front), "", *_ruled(main, short), "", *_reported(front, shown, short)]
    if overtaken:
        lines += ["overtaken: beaten on fresh noise, or at a lower cost", ""]
        lines += [*_ruled(overtaken, short), ""]
    told = "; ".join(f"{short[name]} is {name}" for name in dict.fromkeys(names) if name in short)
    lines += textwrap.wrap(told, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(line.rstrip() for line in [*lines, *_notes(front, shown)]) + "\n"


def _ruled(table: Table, short: Mapping[str, str]) -> list[str]:
    """The lines of a table, with a rule under its headings."""
    headings, *rows = _shortened(table, short)
    ruled = [headings, ["-" * width for width in column_widths([headings, *rows])], *rows]
    return align(ruled, _is_name)


def _short_names(names: Iterable[str], tables: Sequence[Table], width: int) -> dict[str, str]:
    """Short names for those that do not fit, by name: as long as the tables leave room for."""
    short: dict[str, str] = {}
    used = {cell.removesuffix(_KNEE) for table in tables for row in table for cell in row}
    long = [name for name in dict.fromkeys(names) if name in used]
    for room in range(max(map(len, long), default=0), _LEAST_NAME - 1, -1):
        short = {}
        for name in long:
            if len(name) > room:
                short[name] = _cut(name, room, set(short.values()))
        if all(_width(_shortened(table, short)) <= width for table in tables if table):
            break
    return short


def _width(table: Table) -> int:
    widths = column_widths(table)
    return sum(widths) + 2 * (len(widths) - 1)


def _shortened(table: Table, short: Mapping[str, str]) -> list[list[str]]:
    """A table with short names for long ones."""

    def shortened(cell: str) -> str:
        name = cell.removesuffix(_KNEE)
        return short.get(name, name) + cell[len(name) :]

    return [[shortened(cell) for cell in row] for row in table]


def _overtaken(front: Front) -> list[list[str]]:
    """The points off the front as rows, with who beats them."""
    headings = [*_headings(front)[:-3], "overtaken by"]
    rows = [[*_row(front, p)[: len(headings) - 1], _beaten_by(front, p)] for p in front.overtaken]
    return [headings, *rows]


def _beaten_by(front: Front, point: Point) -> str:
    return "" if point.overtaken_by is None else front.by_number[point.overtaken_by].name


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
    lines += textwrap.wrap(front.early_end or "", WIDTH, subsequent_indent="  ")
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
        by = {point: _beaten_by(front, point) for point in front.overtaken}
        fallen = ", ".join(point.name + f" (by {name})" * bool(name) for point, name in by.items())
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


def _reported(front: Front, shown: list[Point], short: Mapping[str, str]) -> list[str]:
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
    return [*align(_shortened([["also measured", *names], *cells], short), _is_name), ""]


def _row(front: Front, point: Point) -> list[str]:
    quality = front.quality.name
    cells = [str(point.steps)]
    if (cost := _cost_column(front)) is not None:
        cells.append(_exact(point, cost.name))
    search, validated = point.search.get(quality), point.validated.get(quality)
    cells += [
        point.name + _KNEE * (point is front.knee),
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
    return [*cells, versus.baseline.name, number(theirs), difference]


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


def _cut(name: str, room: int, taken: Iterable[str]) -> str:
    """A name without its middle in at most so many columns; another than those that are taken."""
    steps = _STEPS.search(name)
    tail = steps[0] if steps is not None and len(steps[0]) <= room // 2 else ""
    for again in itertools.count(1):
        end = f"{_CUT}{again if again > 1 else ''}{tail}"
        cut = name[: room - len(end)] + end
        if cut not in taken:
            return cut
    raise AssertionError
