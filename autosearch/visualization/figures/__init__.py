"""Pictures: fronts, recipes, grids of samples, attention heads."""

from autosearch.visualization.figures.front import (
    check_suffix,
    front_figure,
    plot_front,
    save_figure,
)
from autosearch.visualization.figures.growth import growth_figure
from autosearch.visualization.figures.heads import HeadGains, head_gains, heads_figure, plot_heads
from autosearch.visualization.figures.recipe import acts, plot_recipe, recipe_figure
from autosearch.visualization.figures.samples import (
    Panel,
    image_grid,
    plot_panels,
    plot_scatter,
    save_grid,
    scatter_picture,
)

__all__ = [
    "HeadGains",
    "Panel",
    "acts",
    "check_suffix",
    "front_figure",
    "growth_figure",
    "head_gains",
    "heads_figure",
    "image_grid",
    "plot_front",
    "plot_heads",
    "plot_panels",
    "plot_recipe",
    "plot_scatter",
    "recipe_figure",
    "save_figure",
    "save_grid",
    "scatter_picture",
]
