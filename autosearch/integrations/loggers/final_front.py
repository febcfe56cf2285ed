"""The front that a run left, for loggers: made when the first of them asks."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autosearch.study.front import front_table
from autosearch.study.front_text import front_text
from autosearch.study.front_view import FrontView, Point
from autosearch.study.study import Study
from autosearch.visualization.figures import plot_front

__all__ = ["FinalFront"]


class FinalFront:
    """Table, text, numbers and picture of a front; safe to ask from several threads.

    Attributes:
        step: the number of the last candidate.
    """

    def __init__(self, study: Study, directory: Path) -> None:
        self.step = max(study.candidates, default=0)
        self._study = study
        self._path = directory / "front.png"
        self._lock = threading.RLock()
        self._table: dict[str, Any] = {}
        self._drawn = False

    @property
    def table(self) -> dict[str, Any]:
        """What ``autosearch front --json`` prints."""
        with self._lock:
            if not self._table:
                self._table = front_table(self._study)
            return self._table

    @property
    def text(self) -> str:
        """What ``autosearch front`` prints."""
        return front_text(self.table)

    @property
    def picture(self) -> Path | None:
        """The study's ``front.png``; None where nothing is on the front."""
        with self._lock:
            if not FrontView(self.table).front:
                return None
            if not self._drawn:
                plot_front(self.table, self._path)
                self._drawn = True
            return self._path

    @property
    def columns(self) -> list[str]:
        """Headings of :attr:`rows`."""
        names = [axis.name for axis in FrontView(self.table).axes]
        parts = ("", "_low", "_high", "_search")
        return ["candidate", "recipe", "steps", *(name + part for name in names for part in parts)]

    @property
    def rows(self) -> list[list[Any]]:
        """The front, cheapest first: values on fresh noise where there are, else the search's."""
        view = FrontView(self.table)
        return [_row(point, [axis.name for axis in view.axes]) for point in view.front]

    @property
    def numbers(self) -> dict[str, float]:
        """Hypervolumes and what the search cost, by name."""
        volumes = {f"hypervolume/{kind}": v for kind, v in self.table["hypervolume"].items()}
        cost = {f"cost/{name}": v for name, v in self.table["cost"].items() if name != "phases"}
        return {name: float(value) for name, value in (volumes | cost).items() if value is not None}


def _row(point: Point, names: Sequence[str]) -> list[Any]:
    row: list[Any] = [point.id, point.name, point.steps]
    for name in names:
        row += [point.value(name), *point.interval(name), point.search(name)]
    return row
