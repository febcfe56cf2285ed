"""The front that a run left, for loggers; drawn when the first of them asks."""

import logging
import threading
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.study import Study
from autosearch.visualization.figures import front_figure, save_figure

__all__ = ["FinalFront"]

_log = logging.getLogger(__name__)


class FinalFront:
    """Table, text, numbers and picture of a front; safe to ask from several threads.

    Attributes:
        front: the front itself.
        step: the number of the last candidate.
    """

    def __init__(self, study: Study, directory: Path) -> None:
        self.front = Front.of(study)
        self.step = max(study.candidates, default=0)
        self._path = directory / "front.png"
        self._lock = threading.Lock()
        self._drawn = self._failed = False

    @property
    def table(self) -> dict[str, Any]:
        """What ``autosearch front --json`` prints."""
        return self.front.to_dict()

    @property
    def text(self) -> str:
        """What ``autosearch front`` prints."""
        return front_text(self.front)

    @property
    def picture(self) -> Path | None:
        """The study's ``front.png``; None where nothing is on the front, or it cannot be drawn."""
        if not self.front.front:
            return None
        with self._lock:
            if not self._drawn:
                self._drawn = True
                try:
                    save_figure(front_figure(self.front), self._path)
                except UserError as error:  # the table is what counts
                    _log.warning("%s", error)
                    self._failed = True
        return None if self._failed else self._path

    @property
    def columns(self) -> list[str]:
        """Headings of :attr:`rows`."""
        parts = ("", "_low", "_high", "_search")
        values = [axis.name + part for axis in self.front.axes for part in parts]
        return ["candidate", "recipe", "steps", *values]

    @property
    def rows(self) -> list[list[Any]]:
        """The front, cheapest first: values on fresh noise where there are, else the search's."""
        rows = []
        for point in self.front.front:
            row: list[Any] = [point.id, point.name, point.steps]
            for name in (axis.name for axis in self.front.axes):
                search = point.search.get(name)
                row += [point.value(name), *point.interval(name)]
                row.append(None if search is None else search.value)
            rows.append(row)
        return rows

    @property
    def numbers(self) -> dict[str, float]:
        """Hypervolumes and what the search cost, by name."""
        volumes = {f"hypervolume/{kind}": v for kind, v in self.front.hypervolume.items()}
        cost = {f"cost/{name}": v for name, v in self.front.spending.items() if name != "phases"}
        return {name: float(value) for name, value in (volumes | cost).items() if value is not None}
