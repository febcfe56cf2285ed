"""Names at the right edge of a panel, pushed apart so that none covers another."""

from collections.abc import Sequence
from typing import Any

from autosearch.study.point import Axis, Point
from autosearch.visualization.figures.drawing import plain_text
from autosearch.visualization.figures.markers import OTHER, SOFT

__all__ = ["label_at_right", "spread"]

# Height of a line of text as a share of the panel's.
_LINE = 0.035
# Points farther left than this share of the panel are named where they stand.
_NEAR_EDGE = 0.6
_TOP = 0.98
# From a point to its name beside it.
_OFFSET = 0.014


def label_at_right(axes: Any, entries: Sequence[tuple[str, Point, str]], x: Axis, y: Axis) -> None:
    """Write each name beside the panel with a thin line to its point, or beside a far point.

    Args:
        axes: the panel, whose scales are set and data drawn.
        entries: name, point and marker of each.
        x: the objective across.
        y: the objective up.
    """
    axes.margins(x=0.04)
    axes.autoscale_view()
    to_share = axes.transData + axes.transAxes.inverted()
    columns: dict[float, list[tuple[float, str, tuple[float, float], str]]] = {}
    for name, point, marker in entries:
        at = (point.value(x.name), point.value(y.name))
        across, up = to_share.transform(at)
        column = 1.0 if across > _NEAR_EDGE else round(float(across), 2)
        columns.setdefault(column, []).append((float(up), name, at, marker))
    for column, placed in columns.items():
        placed.sort()
        heights = spread([item[0] for item in placed], _LINE)
        for height, (_, name, at, marker) in zip(heights, placed, strict=True):
            if column == 1.0:
                _at_edge(axes, name, at, marker, height)
            else:
                axes.text(
                    column + _OFFSET,
                    height,
                    plain_text(name),
                    transform=axes.transAxes,
                    va="center",
                    fontsize=9,
                    color=SOFT,
                )


def _at_edge(axes: Any, name: str, at: tuple[float, float], marker: str, height: float) -> None:
    axes.annotate(
        plain_text(name),
        at,
        xytext=(1.045, height),
        textcoords="axes fraction",
        fontsize=9,
        va="center",
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": OTHER, "shrinkB": 4, "relpos": (0, 0.5)},
    )
    place = {"transform": axes.transAxes, "clip_on": False}
    axes.plot([1.03], [height], marker=marker, ms=6, mfc="white", color=OTHER, **place)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Increasing heights moved as little as needed to stand ``gap`` apart, below the top."""
    placed = []
    lowest = 0.0
    for height in heights:
        lowest = max(height, lowest)
        placed.append(lowest)
        lowest += gap
    highest = _TOP
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], highest)
        highest = placed[i] - gap
    return placed
