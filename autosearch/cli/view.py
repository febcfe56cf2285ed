"""Where a run stands, in words and pictures of text: the same for ``run`` and ``status``."""

import shutil
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autosearch.study.hypervolume import UPPER
from autosearch.study.progress import FrontEntry, Snapshot
from autosearch.text import align, for_people, number

__all__ = [
    "counts",
    "duration",
    "front_rows",
    "plain_line",
    "render",
    "sparkline",
    "standing_lines",
    "volume_line",
]

_MOST_ROWS = 12
_BLOCKS = "▁▂▃▄▅▆▇█"
# Lines of the terminal that are left to what stands around the table.
_AROUND = 12


def counts(snapshot: Snapshot, *, asked: str = "running") -> str:
    """How many candidates are in which state; ``asked`` is that of those without a result."""
    return (
        f"{snapshot.done} done, {snapshot.running} {asked}, {snapshot.failed} failed, "
        f"{snapshot.infeasible} infeasible, {snapshot.duplicates} duplicates avoided"
    )


def duration(seconds: float) -> str:
    """A number of seconds as people say it, such as ``2 min 05 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def front_rows(
    entries: Sequence[FrontEntry], *, most: int = _MOST_ROWS
) -> list[tuple[str, str, str]]:
    """Cost, the best searched recipe there where it is on the front, and the best baseline.

    At most so many costs, evenly chosen.
    """
    costs = sorted({entry.cost for entry in entries})
    if len(costs) > most:
        step = (len(costs) - 1) / (most - 1)
        costs = [costs[round(i * step)] for i in range(most)]
    rows = []
    for cost in costs:
        here = [entry for entry in entries if entry.cost == cost]
        searched = [_named(entry) for entry in here if not entry.is_baseline]
        baselines = [_named(entry) for entry in here if entry.is_baseline]
        rows.append((number(cost), "".join(searched[:1]), "".join(baselines[:1])))
    return rows


def sparkline(values: Sequence[float]) -> str:
    """A line of block characters from the least value to the largest; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, span = min(values), max(values) - min(values)
    if not span:
        return _BLOCKS[0] * len(values)
    return "".join(_BLOCKS[round((v - low) / span * (len(_BLOCKS) - 1))] for v in values)


def volume_line(snapshot: Snapshot) -> str:
    """The hypervolume of search values from first to last; empty while there is none."""
    if not snapshot.volumes:
        return ""
    line = sparkline(snapshot.volumes)
    last = f"{snapshot.volumes[-1]:.4f}"
    grown = f"{snapshot.volumes[0]:.4f} {line} {last}" if line else last
    return f"hypervolume {grown} ({UPPER})"


def plain_line(snapshot: Snapshot, left: float | None) -> str:
    """Where a run stands, in one line for logs."""
    best = ""
    if (top := snapshot.best) is not None:
        best = (
            f"; {snapshot.quality_name} {number(top.quality)} at "
            f"{snapshot.cost_name} {number(top.cost)} ({_label(top)})"
        )
    volume = f"; hypervolume {snapshot.volumes[-1]:.4f} ({UPPER})" if snapshot.volumes else ""
    return f"{snapshot.phase}: {counts(snapshot)}; {times(snapshot, left)}{best}{volume}"


def times(snapshot: Snapshot, left: float | None, *, of: str = "") -> str:
    """The share of the budget, how long it took, and how long the rest may take."""
    text = f"{100 * snapshot.budget_share:.0f}%{of} in {duration(snapshot.elapsed)}"
    return text if left is None else f"{text}, about {duration(left)} left"


def standing_lines(
    snapshot: Snapshot, left: float | None, *, asked: str = "running", most: int = _MOST_ROWS
) -> list[str]:
    """Lines that say where a run stands; ``most`` costs at most, evenly chosen."""
    share = "of the validation" if snapshot.phase == "validation" else "of the budget"
    lines = [times(snapshot, left, of=f" {share}"), counts(snapshot, asked=asked)]
    if volume := volume_line(snapshot):
        lines.append(volume)
    if snapshot.front:
        quality = snapshot.quality_name
        headings = (snapshot.cost_name, f"searched: {quality}", f"best baseline: {quality}")
        rows = [headings, *front_rows(snapshot.front, most=most)]
        lines += ["", *align(rows, lambda column, cell: column > 0)]
    return lines


def render(snapshot: Snapshot, left: float | None, *, head: str = "") -> RenderableType:
    """For a terminal: a bar, the counts, the hypervolume and the front beside the baselines."""
    # In a grid, because a bar alone ends no line.
    bar = Table.grid()
    bar.add_row(ProgressBar(total=1.0, completed=snapshot.budget_share, width=60))
    # What is longer than the terminal could not be drawn over.
    most = min(_MOST_ROWS, max(3, shutil.get_terminal_size().lines - _AROUND))
    lines = standing_lines(snapshot, left, most=most)[1:]
    title = Text(for_people(f"{head or snapshot.phase}: {times(snapshot, left)}"))
    return Group(title, bar, Text(for_people("\n".join(lines))))


def _named(entry: FrontEntry) -> str:
    return f"{number(entry.quality)}  {_label(entry)}"


def _label(entry: FrontEntry) -> str:
    return entry.name if entry.is_baseline else f"#{entry.name}"
