"""The levels of Karras et al. 2022 at exact times."""

from autosearch.diffusion.grids.base import Grid
from autosearch.diffusion.grids.karras import karras_points

__all__ = ["GRIDS"]

GRIDS = (
    Grid(
        "edm",
        "levels with even 7th roots, at their exact times",
        ("vp", "edm"),
        karras_points,
        "Karras et al. 2022, eq. 5",
        usual=True,
    ),
)
