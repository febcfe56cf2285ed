"""The closed-form few-step schedule, as a grid: it ends before clean data."""

from autosearch.diffusion.few_step import few_step, few_step_end
from autosearch.diffusion.grids.base import Grid

__all__ = ["GRIDS"]

GRIDS = (
    Grid(
        "few-step",
        "the closed form of 4, 5, 6 and 8 steps, which ends before clean data",
        ("vp", "edm"),
        few_step,
        '"Hyperparameters are all you need"',
        end=few_step_end,
        usual=True,
    ),
)
