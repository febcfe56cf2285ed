"""Pictures: fronts, recipes, grids of samples, attention heads."""

from autosearch.visualization.figures.front import check_suffix, front_figure, save_figure
from autosearch.visualization.figures.growth import growth_figure
from autosearch.visualization.figures.heads import head_gains, heads_figure
from autosearch.visualization.figures.recipe import acts, recipe_figure
from autosearch.visualization.figures.samples import scatter_picture

__all__ = [
    "acts",
    "check_suffix",
    "front_figure",
    "growth_figure",
    "head_gains",
    "heads_figure",
    "recipe_figure",
    "save_figure",
    "scatter_picture",
]
