"""``status --watch``: a study's standing from another terminal, again and again."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from autosearch.cli.output import print_text
from autosearch.cli.status import Status, read_status, status_text
from autosearch.cli.view import plain_line, rendered

__all__ = ["watch"]

_SECONDS = 2.0
_PLAIN_SECONDS = 10.0
# A long journal takes seconds to read: at most one part in this many of the time goes there.
_SHARE = 10


def watch(directory: Path) -> None:
    """Show where a study stands until nobody is at work on it.

    On a terminal one picture, drawn over and over; elsewhere a line every ten seconds. Both end
    with the text that ``status`` prints.
    """
    shows = _redrawn if sys.stdout.isatty() else _lines
    print_text(status_text(shows(directory)))


def _redrawn(directory: Path) -> Status:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        for status in _statuses(directory, _SECONDS):
            live.update(rendered(status.snapshot, status.left, head=status.head), refresh=True)
    return status


def _lines(directory: Path) -> Status:
    for status in _statuses(directory, _PLAIN_SECONDS):
        if status.state == "running":
            print_text(plain_line(status.snapshot, status.left))
            sys.stdout.flush()
    return status


def _statuses(directory: Path, pause: float) -> Iterator[Status]:
    """One after the other while it runs, then the last."""
    while True:
        start = time.monotonic()
        status = read_status(directory)
        spent = time.monotonic() - start
        yield status
        if status.state != "running":
            return
        time.sleep(max(pause, _SHARE * spent))
