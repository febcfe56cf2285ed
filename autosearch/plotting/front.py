"""The picture of a front: points with error bars beside the named baselines."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.front_view import Axis, FrontView
from autosearch.plotting.panel import draw_panel
from autosearch.plotting.strip import draw_strip

__all__ = ["SUFFIXES", "check_suffix", "front_figure", "plot_front", "save_figure"]

SUFFIXES = (".png", ".pdf", ".svg")
_DPI = 100


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

    view = FrontView(table)
    pairs = _pairs(view)
    columns = max(1, min(len(pairs), 2))
    rows = max(1, -(-len(pairs) // columns))
    figure = Figure(figsize=(12, 8), dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    if not pairs:
        draw_strip(grid[0][0], view)
    for i, (x, y) in enumerate(pairs):
        draw_panel(grid[i // columns][i % columns], view, x, y, names=len(pairs) == 1)
    for i in range(max(len(pairs), 1), rows * columns):
        grid[i // columns][i % columns].set_axis_off()
    _title(figure, view)
    if grid[0][0].get_legend_handles_labels()[0]:
        grid[0][0].legend(loc="upper right", framealpha=0.95)
    return figure


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


def _pairs(view: FrontView) -> list[tuple[Axis, Axis]]:
    """(x, y) of each panel: cost across, quality up."""
    if len(view.axes) < 2:
        return []
    order = [axis for axis in view.axes if axis != view.cost]
    if view.cost is not None:
        order.append(view.cost)
    return [(x, y) for y, x in itertools.combinations(order, 2)]


def _title(figure: Any, view: FrontView) -> None:
    samples = view.table.get("samples", {}).get("validated")
    text = f"{view.table['study']} on {view.table['model']}"
    if view.validated and samples:
        text += f", validated on {samples} fresh samples"
    elif not view.validated:
        text += ", not validated yet"
    figure.suptitle(text)
