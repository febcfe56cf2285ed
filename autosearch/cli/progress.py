"""Progress on standard error: live on a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autosearch.cli.output import note
from autosearch.front_view import number
from autosearch.progress import FrontEntry, Progress, Snapshot

__all__ = ["Pace", "counts", "duration", "front_rows", "make_progress"]

_PLAIN_EVERY = 10.0
_MOST_ROWS = 12


class Pace:
    """Time left in the phase, from how fast its budget went since it was first seen.

    What an earlier process had done before a resume counts for nothing.
    """

    def __init__(self) -> None:
        self._phase = ""
        self._start = (0.0, 0.0)

    def left(self, snapshot: Snapshot) -> float | None:
        """Seconds; None while too little has been seen."""
        here = (snapshot.elapsed, snapshot.budget_share)
        # Baselines and the search draw on one budget.
        phase = "validation" if snapshot.phase == "validation" else "search"
        if phase != self._phase:
            self._phase, self._start = phase, here
        seconds, share = here[0] - self._start[0], here[1] - self._start[1]
        if seconds <= 0 or share < 0.01:
            return None
        return max(0.0, (1.0 - here[1]) * seconds / share)


class LiveProgress(Progress):
    """A bar, counts and the front beside the baselines, drawn over and over."""

    def __init__(self, console: Console) -> None:
        first = Text("loading the model, measuring the reference")
        self._live = Live(first, console=console, refresh_per_second=4, transient=True)
        self._pace = Pace()

    def start(self, total_cost: float | None = None, *, title: str = "") -> None:
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        self._live.update(_render(snapshot, self._pace.left(snapshot)))

    def message(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._live.stop()


class PlainProgress(Progress):
    """A line every ten seconds and at each change of phase."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._phase = ""
        self._last = 0.0

    def update(self, snapshot: Snapshot) -> None:
        left = self._pace.left(snapshot)
        now = time.monotonic()
        if snapshot.phase == self._phase and now - self._last < _PLAIN_EVERY:
            return
        self._phase, self._last = snapshot.phase, now
        best = ""
        if snapshot.front:
            top = max(snapshot.front, key=lambda entry: entry.cost)
            best = (
                f"; {snapshot.quality_name} {number(top.quality)} at "
                f"{snapshot.cost_name} {number(top.cost)} ({_label(top)})"
            )
        note(f"{snapshot.phase}: {counts(snapshot)}; {_times(snapshot, left)}{best}")

    def message(self, text: str) -> None:
        note(text)


def make_progress() -> Progress:
    """The display for this standard error."""
    if sys.stderr.isatty():
        return LiveProgress(Console(stderr=True))
    return PlainProgress()


def counts(snapshot: Snapshot) -> str:
    """How many candidates are in which state."""
    return (
        f"{snapshot.done} done, {snapshot.running} running, {snapshot.failed} failed, "
        f"{snapshot.infeasible} infeasible, {snapshot.duplicates} duplicates avoided"
    )


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def front_rows(entries: tuple[FrontEntry, ...]) -> list[tuple[str, str, str]]:
    """Cost, the best searched recipe there where it is on the front, and the best baseline.

    At most a screenful of costs, evenly chosen.
    """
    costs = sorted({entry.cost for entry in entries})
    if len(costs) > _MOST_ROWS:
        step = (len(costs) - 1) / (_MOST_ROWS - 1)
        costs = [costs[round(i * step)] for i in range(_MOST_ROWS)]
    rows = []
    for cost in costs:
        here = [entry for entry in entries if entry.cost == cost]
        searched = [_named(entry) for entry in here if not entry.is_baseline]
        baselines = [_named(entry) for entry in here if entry.is_baseline]
        rows.append((number(cost), "".join(searched[:1]), "".join(baselines[:1])))
    return rows


def _named(entry: FrontEntry) -> str:
    return f"{number(entry.quality)}  {_label(entry)}"


def _label(entry: FrontEntry) -> str:
    return entry.name if entry.is_baseline else f"#{entry.name}"


def _times(snapshot: Snapshot, left: float | None) -> str:
    text = f"{100 * snapshot.budget_share:.0f}% in {duration(snapshot.elapsed)}"
    return text if left is None else f"{text}, about {duration(left)} left"


def _render(snapshot: Snapshot, left: float | None) -> RenderableType:
    # In a grid, because a bar alone ends no line.
    bar = Table.grid()
    bar.add_row(ProgressBar(total=1.0, completed=snapshot.budget_share, width=60))
    head = Text(f"{snapshot.phase}: {_times(snapshot, left)}")
    parts: list[RenderableType] = [head, bar, Text(counts(snapshot))]
    if snapshot.front:
        table = Table(box=None, pad_edge=False)
        table.add_column(snapshot.cost_name, justify="right")
        table.add_column(f"searched: {snapshot.quality_name}")
        table.add_column(f"best baseline: {snapshot.quality_name}")
        for row in front_rows(snapshot.front):
            table.add_row(*row)
        parts.append(table)
    return Group(*parts)
