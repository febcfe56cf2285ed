"""Pictures: fronts and grids of samples."""

from autosearch.plotting.front import check_suffix, front_figure, plot_front, save_figure
from autosearch.plotting.samples import Panel, image_grid, plot_panels, plot_scatter, save_grid

__all__ = [
    "Panel",
    "check_suffix",
    "front_figure",
    "image_grid",
    "plot_front",
    "plot_panels",
    "plot_scatter",
    "save_figure",
    "save_grid",
]
