"""The picture of a front: points with error bars beside the named baselines."""

import itertools
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.study.point import STEPS, Axis
from autosearch.text import writing
from autosearch.visualization.figures.drawing import own_settings, plain_text
from autosearch.visualization.figures.markers import SOFT
from autosearch.visualization.figures.panel import draw_panel

__all__ = ["SUFFIXES", "check_suffix", "front_figure", "pairs", "save_figure"]

SUFFIXES = (".png", ".pdf", ".svg")
_DPI = 100
_READING = (
    "Each panel shows two of the objectives: a point that looks beaten\n"
    "there is better in another one. Numbers are those of the table."
)


@own_settings()
def front_figure(front: Front, *, narrow: bool = False, hover: bool = False) -> Any:
    """A matplotlib figure, 1200 x 800 pixels: a panel for each pair of objectives.

    One objective gives a strip by number of steps, two one panel, three or more all pairs.

    Args:
        front: of a study.
        narrow: whether panels stand below each other in a picture that is 420 pixels wide.
        hover: whether unseen marks, ``point-ID``, stand where a page says what a point is.
    """
    from matplotlib.figure import Figure

    if len(front.axes) == 1:
        front = replace(front, axes=(*front.axes, Axis(STEPS, "minimize", "")))
    panels = pairs(front)
    columns = 1 if narrow else min(len(panels), 2)
    rows = -(-len(panels) // columns)
    size = (4.2, 3.6 * rows + 1.2) if narrow else (12, 8)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    names = len(panels) == 1 and not narrow
    for axes, pair in itertools.zip_longest(grid.flat, panels):
        if pair is None:
            axes.set_axis_off()
        else:
            draw_panel(axes, front, *pair, names=names, hover=hover)
    _title(figure, front, narrow=narrow)
    _legend(figure, grid, apart=not names, columns=2 * columns)
    return figure


def _legend(figure: Any, grid: Any, *, apart: bool, columns: int) -> None:
    """Put the legend into a single panel; of several, into an empty place or below them."""
    handles, labels = grid[0][0].get_legend_handles_labels()
    if not handles:
        return
    empty = grid[-1][-1]
    if not apart:
        grid[0][0].legend(loc="upper right", framealpha=0.95)
    elif empty.axison:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)
    else:
        empty.legend(handles, labels, loc="upper left", ncols=2, fontsize=9, title_fontsize=9)
        empty.text(0.02, 0.02, _READING, fontsize=9, va="bottom", color=SOFT)


def check_suffix(path: Path) -> None:
    """Refuse a suffix that names none of the formats that pictures are written in.

    Raises:
        UserError: naming the three suffixes.
    """
    if path.suffix.lower() not in SUFFIXES:
        given = repr(path.suffix) if path.suffix else "no suffix"
        raise UserError(f"{path}: {given} is no picture format; use .png, .pdf or .svg")


@own_settings()
def save_figure(figure: Any, path: Path) -> None:
    """Write a figure, making its folder where it is missing.

    Raises:
        UserError: for another suffix than .png, .pdf and .svg, or a place that cannot be written.
    """
    check_suffix(path)
    with writing(path) as place:
        figure.savefig(place)


def pairs(front: Front) -> list[tuple[Axis, Axis]]:
    """The objectives (x, y) of each panel of a picture: a cost stands across, a quality up."""
    order = [axis for axis in front.axes if axis != front.cost]
    if front.cost is not None:
        order.append(front.cost)
    return [(x, y) for y, x in itertools.combinations(order, 2)]


def _title(figure: Any, front: Front, *, narrow: bool) -> None:
    text = f"{front.title}, not validated yet"
    if front.validated_on is not None:
        text = f"{front.title}, validated on {front.validated_on[1]} fresh samples"
    lines = textwrap.fill(text, 48 if narrow else 120)
    figure.suptitle(plain_text(lines), fontsize=10 if narrow else 12)
