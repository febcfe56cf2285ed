"""The picture of a front: points with error bars beside the named baselines."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.study.front_view import STEPS, Axis, FrontView
from autosearch.visualization.figures.panel import draw_panel

__all__ = ["SUFFIXES", "check_suffix", "front_figure", "pairs", "plot_front", "save_figure"]

SUFFIXES = (".png", ".pdf", ".svg")
_DPI = 100
_READING = (
    "Each panel shows two of the objectives: a point that looks beaten\n"
    "there is better in another one. Numbers are those of the table."
)


def plot_front(table: Mapping[str, Any], path: Path) -> None:
    """Write the picture of a front table.

    Raises:
        UserError: for another suffix than .png, .pdf and .svg, or a place that cannot be written.
    """
    check_suffix(path)
    save_figure(front_figure(table), path)


def front_figure(table: Mapping[str, Any]) -> Any:
    """A matplotlib figure, 1200 x 800 pixels: a panel for each pair of objectives.

    One objective gives a strip by number of steps, two one panel, three or more all pairs.
    """
    from matplotlib.figure import Figure

    view = FrontView(table if len(table["objectives"]) > 1 else _by_steps(table))
    panels = pairs(view)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(12, 8), dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for i, (x, y) in enumerate(panels):
        draw_panel(grid[i // columns][i % columns], view, x, y, names=len(panels) == 1)
    for i in range(len(panels), rows * columns):
        grid[i // columns][i % columns].set_axis_off()
    _title(figure, view)
    _legend(figure, grid, apart=len(panels) > 1)
    return figure


def _legend(figure: Any, grid: Any, *, apart: bool) -> None:
    """In the panel; with several panels in an empty place of the grid, or below them."""
    handles, labels = grid[0][0].get_legend_handles_labels()
    if not handles:
        return
    empty = grid[-1][-1]
    if not apart:
        grid[0][0].legend(loc="upper right", framealpha=0.95)
    elif empty.axison:
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    else:
        empty.legend(handles, labels, loc="upper left", ncols=2, fontsize=9, title_fontsize=9)
        empty.text(0.02, 0.02, _READING, fontsize=9, va="bottom", color="#444444")


def check_suffix(path: Path) -> None:
    """Refuse what matplotlib would guess at.

    Raises:
        UserError: naming the three suffixes.
    """
    if path.suffix.lower() not in SUFFIXES:
        given = repr(path.suffix) if path.suffix else "no suffix"
        raise UserError(f"{path}: {given} is no picture format; use .png, .pdf or .svg")


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure, making its folder where it is missing.

    Raises:
        UserError: when the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path}: cannot write: {reason}; give another path") from None


def pairs(view: FrontView) -> list[tuple[Axis, Axis]]:
    """(x, y) of each panel of a picture: cost across, quality up."""
    order = [axis for axis in view.axes if axis != view.cost]
    if view.cost is not None:
        order.append(view.cost)
    return [(x, y) for y, x in itertools.combinations(order, 2)]


def _by_steps(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a single objective with the number of steps as its cost."""

    def extended(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {**p, "values": {**p["values"], STEPS: _exact(len(p["recipe"]["steps"]))}}
            for p in points
        ]

    steps = {"name": STEPS, "direction": "minimize", "unit": ""}
    return {
        **table,
        "objectives": [*table["objectives"], steps],
        "points": extended(table["points"]),
        "baselines": extended(table["baselines"]),
    }


def _exact(value: float) -> dict[str, Any]:
    return {"search": value, "validated": value, "ci": [value, value]}


def _title(figure: Any, view: FrontView) -> None:
    samples = view.table.get("samples", {}).get("validated")
    study, model = view.table["study"], view.table["model"]
    text = study if study == model else f"{study} on {model}"
    if view.validated and samples:
        text += f", validated on {samples} fresh samples"
    elif not view.validated:
        text += ", not validated yet"
    figure.suptitle(text)
