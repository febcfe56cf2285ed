"""BOSS (2023): the times of K steps whose errors are least in sum, by dynamic programming.

A fine trajectory is recorded once. The error of a step from one of its points to another is the
mean square distance of where a one-step solver leads from where the trajectory is; the cheapest
path of exactly K such steps is found by Bellman's recursion. How errors grow along the way is not
looked at, and neighbours cost nothing where the edge is the trajectory's own solver. Published for
Euler's method in the time of flows, which is DDIM; here the edge is whatever a recipe's step is
when nothing came before it. The second half of the publication trains the network, which we do not.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autosearch._typing import Array
from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import Trajectory, mean_square, record_trajectory
from autosearch.diffusion.plan.solver import compile_updates
from autosearch.diffusion.sampling.sampler import plan_statistics
from autosearch.diffusion.solvers import next_state
from autosearch.recipe import Recipe

__all__ = ["FITS", "cheapest_path", "edge_costs", "straighten"]

_FINE = 100
_SAMPLES = 100


def cheapest_path(costs: Array, steps: int) -> list[int]:
    """The nodes of the cheapest path of exactly ``steps`` edges from the first node to the last.

    Args:
        costs: [nodes, nodes]; of the edges from i to j > i.
        steps: at most one fewer than there are nodes.

    Returns:
        ``steps + 1`` ascending nodes; of equal paths the one with the earliest nodes.
    """
    nodes = len(costs)
    if not 1 <= steps < nodes:
        raise ValueError(f"no path of {steps} edges over {nodes} nodes")
    forward = np.where(np.triu(np.ones((nodes, nodes), dtype=bool), 1), costs, math.inf)
    to_go = np.full(nodes, math.inf)
    to_go[-1] = 0.0
    follow: list[NDArray[np.int64]] = []
    for _ in range(steps):
        total = forward + to_go
        follow.append(total.argmin(axis=1))
        to_go = total.min(axis=1)
    path = [0]
    for best in reversed(follow):
        path.append(int(best[path[-1]]))
    return path


def edge_costs(recipe: Recipe, calibrator: Calibrator, trajectory: Trajectory) -> Array:
    """The error [points, points] of one step between points of a trajectory.

    The step is the recipe's first as it is without history.
    """
    count = len(trajectory.states)
    costs = np.full((count, count), math.inf)
    statistics = plan_statistics(
        calibrator.plan(recipe), calibrator.denoiser, calibrator.artifact_store
    )
    template = recipe.steps[0].model_copy(update={"corrector": "none", "eta": 0.0})
    with torch.inference_mode():
        for i in range(count - 1):
            for j in range(i + 1, count):
                ((update, _),) = compile_updates(
                    [template], [trajectory.log_snrs[i], trajectory.log_snrs[j]]
                )
                reached = next_state(
                    update,
                    {-1: trajectory.evaluations[i]},
                    trajectory.log_snrs[j],
                    schedule=calibrator.denoiser.schedule,
                    measured=statistics,
                )
                costs[i, j] = mean_square(reached, trajectory.states[j])
    return costs


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
    path = cheapest_path(edge_costs(recipe, calibrator, trajectory), len(recipe.steps))
    return move_to_points(recipe, trajectory, path)


def move_to_points(recipe: Recipe, trajectory: Trajectory, path: Sequence[int]) -> Recipe:
    """The recipe's steps at the times of a trajectory's points; the path's end is not one."""
    points = [trajectory.recipe.steps[i] for i in path[: len(recipe.steps)]]
    return with_steps(recipe, [{"time": at.time, "log_snr": at.log_snr} for at in points])


FITS = {
    "boss": Fit(
        "BOSS (2023): the times of the cheapest path over local errors of one step",
        (Setting("fine steps", _FINE, 2, 1000), Setting("samples", _SAMPLES, 1, 10_000)),
        straighten,
        "time",
        forwards=lambda recipe, denoiser, fine, samples: fine * samples,
    )
}
