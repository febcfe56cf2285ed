"""Published tables of noise levels: Align Your Steps, GITS, OSS and the like, from ``tables.json``.

Each table has rows by number of steps. The last level of a row is where the last step would end:
that step ends at clean data instead (rows that end at 0 say so themselves). A number of steps
without a row of its own is spread over the row of the nearest number, log-linear over the index, as
ComfyUI does.

Levels are used as they are, on real times. Where a row goes beyond the levels of the model (by more
than its digits are rounded), it is cut there, and the steps are spread over what is left of it: a
table for levels up to 700 begins at 80 on a model that begins there. A row that begins below the
noisiest level of a model begins there, too, without the signal that is left at that level, as on
Stable Diffusion.

A new table is an entry of that file. Its ``unit`` is ``sigma`` (sigma / alpha), ``flow`` (a flow's
time) or ``step`` (a training step of 1000); its ``rows`` are a list, or lists by a coefficient.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from autosearch.diffusion.grids.base import Grid, GridPoint
from autosearch.diffusion.grids.levels import at_levels, level_range
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.settings import Setting
from autosearch.errors import UserError

__all__ = ["GRIDS"]

# Published levels are rounded; by how much of a logarithm they may lie beyond a model's own.
_ROUNDED = 1e-3
_TRAIN_STEPS = 1000
_ANY_COEFFICIENT = 0.0


@dataclass(frozen=True)
class _Table:
    """The points of a table's rows, which are given by coefficient."""

    name: str
    unit: str
    rows: Mapping[float, Sequence[Sequence[float]]]

    def __call__(
        self, schedule: NoiseSchedule, steps: int, coefficient: float = _ANY_COEFFICIENT
    ) -> list[GridPoint]:
        if coefficient not in self.rows:
            known = ", ".join(f"{one:g}" for one in self.rows)
            raise UserError(
                f"grid {self.name!r} has no coefficient {coefficient:g}; it has {known}"
            )
        row = min(self.rows[coefficient], key=lambda row: abs(len(row) - 1 - steps))
        high, low = math.inf, 0.0
        if self.unit != "flow":
            high, low = level_range(schedule)
        if self.unit == "step":
            row = [min(schedule.edm_sigma(_time(schedule, step)), high) for step in row]
        return at_levels(schedule, _spread(row, steps, high, low))


def _time(schedule: NoiseSchedule, step: float) -> float:
    """The time of a training step of 1000 on a model that may have another number of them."""
    return schedule.training_time(step * (schedule.train_steps - 1) / (_TRAIN_STEPS - 1))


def _spread(row: Sequence[float], steps: int, high: float, low: float) -> list[float]:
    """So many levels, log-linear over the index of a row between two levels.

    Args:
        row: levels from noise to clean.
        steps: how many.
        high: the largest level that there may be.
        low: the smallest.
    """
    ends_clean = row[-1] == 0
    logs = np.log(row[:-1] if ends_clean else row)
    index = np.arange(len(logs))
    first, last = index[0], index[-1]
    if row[0] > high * (1 + _ROUNDED):
        first = np.interp(-math.log(high), -logs, index)
    if 0 < row[-1] < low * (1 - _ROUNDED):
        last = np.interp(-math.log(low), -logs, index)
    places = np.linspace(first, last, steps if ends_clean else steps + 1)[:steps]
    levels: list[float] = np.exp(np.interp(places, index, logs)).tolist()
    return levels


def _grid(name: str, entry: Mapping[str, Any]) -> Grid:
    rows, settings = entry["rows"], tuple[Setting, ...]()
    if isinstance(rows, dict):
        rows = {float(key): table for key, table in rows.items()}
        default = entry["coefficient"]
        settings = (Setting("coefficient", default, min(rows), max(rows), whole=False),)
    else:
        rows = {_ANY_COEFFICIENT: rows}
    return Grid(
        name,
        entry["summary"],
        tuple(entry["families"]),
        _Table(name, entry["unit"], rows),
        entry["source"],
        settings=settings,
    )


_ENTRIES = json.loads(files(__package__).joinpath("tables.json").read_text(encoding="utf-8"))
GRIDS = tuple(_grid(name, entry) for name, entry in _ENTRIES.items())
