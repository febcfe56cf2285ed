"""A fit of one's own: of a few bends of a recipe's times, the one that ends where many steps do."""

import numpy as np

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted import Calibrator, Fit
from autosearch.baselines.fitted.trajectory_ends import Ends
from autosearch.recipe import Recipe

FINE = 50
BENDS = np.linspace(-1.0, 1.0, 9)


def fit_bend(recipe: Recipe, calibrator: Calibrator, samples: int = 16) -> Recipe:
    """Steps nearer to the noise or to the clean end, whichever ends nearest to a fine trajectory.

    Both start from the same noise, so few samples tell bends apart.
    """
    ends = Ends("bend", recipe, calibrator, samples=samples, fine=FINE)

    def distance(bend: float) -> float:
        reached = ends.reach(bent(bend), samples)
        return np.inf if reached is None else float(np.square(reached - ends.wanted).mean())

    def bent(bend: float) -> np.ndarray:
        return ends.start + bend * np.linspace(1.0, 0.0, len(ends.start))

    return ends.recipe(bent(min(BENDS.tolist(), key=distance)))


BEND = Fit(
    "times bent towards noise or data, whichever ends nearest to a fine trajectory",
    (Setting("samples", 16, 2, 1000),),
    fit_bend,
    owns="time",
    forwards=lambda recipe, denoiser, samples: samples * (FINE + len(BENDS) * len(recipe.steps)),
)
