"""Pictures of samples: grids of images, or clouds of points for models without images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Array
from autosearch.errors import UserError
from autosearch.text import writing
from autosearch.visualization.figures.drawing import own_settings, plain_text
from autosearch.visualization.figures.front import save_figure
from autosearch.visualization.figures.markers import FRONT, LINE

__all__ = [
    "Panel",
    "image_grid",
    "plot_panels",
    "plot_scatter",
    "save_grid",
    "scatter_picture",
]

Pixels = NDArray[np.uint8]
# Images smaller than this many pixels are enlarged by a whole factor, without smoothing.
_SMALL = 48
_BORDER = 2
_BACKGROUND = 255
_DPI = 100
# Pixels between panels, and above them for the titles.
_GAP = 24
_TITLE = 36


@dataclass(frozen=True)
class Panel:
    """A titled picture [H, W, 3], or a titled cloud of points [N, d]."""

    title: str
    data: NDArray[np.generic]


def image_grid(images: Pixels, classes: int) -> Pixels:
    """One picture [H', W', 3] of images [N, 3, H, W] in index order.

    Sample i is of class ``i % classes``: row by class, then column by index. Without classes, or
    with more classes than images, the grid is about square. Small images are enlarged with
    nearest neighbours.
    """
    count, _, height, width = images.shape
    by_class = 0 < classes <= count
    columns = math.ceil(count / classes) if by_class else math.ceil(math.sqrt(count))
    rows = classes if by_class else math.ceil(count / columns)
    factor = max(1, math.ceil(_SMALL / max(height, width)))
    cell_height, cell_width = height * factor + _BORDER, width * factor + _BORDER
    shape = (rows * cell_height + _BORDER, columns * cell_width + _BORDER, 3)
    grid: Pixels = np.full(shape, _BACKGROUND, dtype=np.uint8)
    for i, image in enumerate(images):
        row, column = (i % rows, i // rows) if by_class else divmod(i, columns)
        large = image.transpose(1, 2, 0).repeat(factor, axis=0).repeat(factor, axis=1)
        top, left = _BORDER + row * cell_height, _BORDER + column * cell_width
        grid[top : top + height * factor, left : left + width * factor] = large
    return grid


@own_settings()
def save_grid(grid: Pixels, path: Path) -> None:
    """Write a picture [H, W, 3] as PNG, pixel for pixel.

    Raises:
        UserError: for another suffix, or a place that cannot be written.
    """
    from matplotlib.image import imsave

    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: a grid of images is written as .png; use that suffix")
    with writing(path) as place:
        imsave(place, grid)


@own_settings()
def plot_panels(panels: Sequence[Panel], path: Path) -> None:
    """Write titled pictures of equal size side by side, pixel for pixel."""
    from matplotlib.figure import Figure

    height, width = panels[0].data.shape[:2]
    total = len(panels) * width + (len(panels) - 1) * _GAP, height + _TITLE
    # A hundredth of a pixel more: some versions of matplotlib cut off what others round.
    figure = Figure(figsize=((total[0] + 0.01) / _DPI, (total[1] + 0.01) / _DPI), dpi=_DPI)
    for i, panel in enumerate(panels):
        left = i * (width + _GAP)
        figure.figimage(panel.data, left, 0, origin="upper")
        # Long titles shrink instead of running into their neighbour's.
        size = min(11.0, 1.5 * width / max(len(panel.title), 1) * 72 / _DPI)
        middle = (left + width / 2) / total[0]
        figure.text(
            middle, 1 - 8 / total[1], plain_text(panel.title), ha="center", va="top", fontsize=size
        )
    save_figure(figure, path)


@own_settings()
def plot_scatter(panels: Sequence[Panel], path: Path) -> None:
    """Write clouds of points side by side, by their first two coordinates, on equal axes.

    Points of one coordinate are shown as histograms.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(panels), 5.4), dpi=100, layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw_points(axes, panel.data)
        axes.set_ylabel("density" if panel.data.shape[1] == 1 else "second coordinate")
        axes.set_title(plain_text(panel.title))
        axes.set_xlabel("first coordinate")
    save_figure(figure, path)


@own_settings()
def scatter_picture(points: Array, *, around: Sequence[Array], size: int = 320) -> Pixels:
    """Points [N, d] by their first two coordinates as a picture [size, size, 3].

    Args:
        points: what is drawn; a single coordinate becomes a histogram.
        around: clouds that give the axes their ends, so that several pictures can be compared.
        size: pixels of a side.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size / _DPI, size / _DPI), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Strays would shrink everything else.
    low, high = np.quantile(np.concatenate(around), [0.005, 0.995], axis=0)
    room = 0.08 * (high - low)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    if points.shape[1] > 1:
        axes.set_ylim(low[1] - room[1], high[1] + room[1])
    _draw_points(axes, points, ends=axes.get_xlim())
    axes.tick_params(labelsize=8)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[:, :, :3].copy()


def _draw_points(
    axes: Any, points: NDArray[Any], *, ends: tuple[float, float] | None = None
) -> None:
    """Draw points [N, d] by their first two coordinates; a single one as a histogram."""
    if points.shape[1] == 1:
        axes.hist(points[:, 0], bins=60, range=ends, density=True, color=FRONT)
    else:
        axes.plot(points[:, 0], points[:, 1], ".", ms=3, alpha=0.5, color=FRONT)
    axes.grid(True, lw=0.4, color=LINE)
