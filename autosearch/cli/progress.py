"""Progress: live on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from autosearch.cli.output import note
from autosearch.cli.view import plain_line, render
from autosearch.study.progress import Progress, Snapshot
from autosearch.text import for_people

__all__ = ["LiveProgress", "PlainProgress", "RemainingTime", "make_progress"]

_PLAIN_EVERY = 10.0


class RemainingTime:
    """Time left in the phase, from how fast its budget went since it was first seen.

    What an earlier process had done before a resume counts for nothing.
    """

    def __init__(self) -> None:
        self._phase = ""
        self._start = (0.0, 0.0)

    def left(self, snapshot: Snapshot) -> float | None:
        """Seconds left in the phase; None while too little has been seen."""
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
    """A bar, counts, the hypervolume and the front beside the baselines, drawn over and over."""

    def __init__(self, console: Console) -> None:
        first = Text("loading the model, measuring the reference")
        self._live = Live(first, console=console, refresh_per_second=4, transient=True)
        self._remaining = RemainingTime()

    def start(self) -> None:
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        self._live.update(render(snapshot, self._remaining.left(snapshot)))

    def message(self, text: str) -> None:
        self._live.console.print(for_people(text), markup=False, highlight=False)

    def stop(self) -> None:
        self._live.stop()


class PlainProgress(Progress):
    """A line every ten seconds and at each change of phase."""

    def __init__(self, write: Callable[[str], None] = note) -> None:
        self._write = write
        self._remaining = RemainingTime()
        self._phase = ""
        self._last = 0.0

    def update(self, snapshot: Snapshot) -> None:
        left = self._remaining.left(snapshot)
        now = time.monotonic()
        if snapshot.phase == self._phase and now - self._last < _PLAIN_EVERY:
            return
        self._phase, self._last = snapshot.phase, now
        self._write(plain_line(snapshot, left))

    def message(self, text: str) -> None:
        self._write(text)


def make_progress() -> Progress:
    """The progress display that suits standard error: live on a terminal, else lines."""
    if sys.stderr.isatty():
        return LiveProgress(Console(stderr=True))
    return PlainProgress()
