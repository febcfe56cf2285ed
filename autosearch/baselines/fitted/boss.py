"""BOSS (2023): the times of K steps whose errors are least in sum, by dynamic programming.

A fine trajectory is recorded once. The error of a step from one of its points to another is the
mean square distance of where a one-step solver leads from where the trajectory is; the cheapest
path of exactly K such steps is found by Bellman's recursion. How errors grow along the way is not
looked at, and neighbours cost nothing where the edge is the trajectory's own solver. Published for
Euler's method in the time of flows, which is DDIM; here the edge is whatever a recipe's step is
when nothing came before it. The second half of the publication trains the network, which we do not.
"""

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import (
    edge_costs,
    mean_square,
    move_to_points,
    record_trajectory,
)
from autosearch.baselines.fitted.shortest_path import cheapest_path
from autosearch.recipe import Recipe

__all__ = ["FITS", "straighten"]

_FINE = 100
_SAMPLES = 100


def straighten(
    recipe: Recipe, calibrator: Calibrator, fine: int = _FINE, samples: int = _SAMPLES
) -> Recipe:
    """The recipe at the times of the cheapest path of as many steps.

    Args:
        recipe: with the steps whose times are fitted.
        calibrator: the model.
        fine: steps of the recorded trajectory.
        samples: to measure errors on.

    Raises:
        UserError: for more steps than fine ones, and for weights that belong to times.
    """
    check_recipe(recipe, "BOSS", weighted=False)
    trajectory = record_trajectory(recipe, calibrator, steps=fine, samples=samples)
    costs = edge_costs(
        recipe, calibrator, trajectory, lambda x, j: mean_square(x, trajectory.states[j])
    )
    return move_to_points(recipe, trajectory, cheapest_path(costs, len(recipe.steps)))


FITS = {
    "boss": Fit(
        "BOSS (2023): the times of the cheapest path over local errors of one step",
        (Setting("fine steps", _FINE, 2, 1000), Setting("samples", _SAMPLES, 1, 10_000)),
        straighten,
        "time",
        forwards=lambda recipe, denoiser, fine, samples: fine * samples,
    )
}
