"""GITS (2024): times along which a fine trajectory bends least, by dynamic programming.

A step of Euler's method in sigma/alpha, which is DDIM, leads from one point of a fine trajectory
past another. Divided by alpha, where every model's trajectory runs between the same noise and data,
its cost is by how much farther from the chord between the trajectory's two ends it leads than the
trajectory itself is there, on average over samples; it may be below zero. Costs of later steps are
multiplied by gamma once for each step before them, since the released values of gamma are above 1:
errors next to the data are not mended any more. The cheapest path has exactly K steps. Other costs
of the released code are the l1 and l2 norms of where the step leads less the point there.

Where we deviate. The fine trajectory is DPM-Solver++(2M)'s, as released for latent models, instead
of iPNDM's; its points are even in time on models with discrete times and flows, and Karras et al.'s
on EDM, as released for each kind; its last point is clean data instead of the smallest level. The
step is whatever the recipe's is when nothing came before it, as with BOSS. Pure noise, where alpha
is 0, has the level that solvers take it to have. The extra point of an analytic first step,
released as the best of all by trying, is one of the path's.

What is nearest to a chord need not be good for the solver that runs there: the publication has
cases that are worse than the grid they replace, and so have we (docs/results/fits.md).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fine import fine_count
from autosearch.baselines.fitted.base import Fit, check_recipe
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import (
    Trajectory,
    edge_costs,
    move_to_points,
    record_trajectory,
)
from autosearch.baselines.fitted.shortest_path import cheapest_path
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.recipe import Recipe

__all__ = ["FITS", "chord_deviation", "fit_gits"]

_FINE = 60
_SAMPLES = 256
_GAMMA = 1.15
# Of the released code's fine trajectory for latent models.
_ORDER = 2


def fit_gits(  # noqa: PLR0917  # a name gives settings by position
    recipe: Recipe,
    calibrator: Calibrator,
    fine: int = _FINE,
    samples: int = _SAMPLES,
    gamma: float = _GAMMA,
    norm: int = 0,
) -> Recipe:
    """The recipe at the times of the cheapest path of as many steps.

    Args:
        recipe: with the steps whose times are fitted.
        calibrator: the model.
        fine: steps of the fine trajectory, one fewer than its points; published: 60.
        samples: to measure costs on; published: 256.
        gamma: how much more a step counts than the one before it; published: 1.15, and 1.2 for
            Stable Diffusion.
        norm: 0 for the distance from the chord, 1 and 2 for the l1 and l2 norms.

    Raises:
        UserError: for more steps than fine ones, and for weights that belong to times.
    """
    check_recipe(recipe, "GITS", weighted=False, twice=False)
    trajectory = record_trajectory(recipe, calibrator, steps=fine, samples=samples, order=_ORDER)
    measure = _measure(trajectory, calibrator.denoiser.schedule, norm)
    costs = edge_costs(recipe, calibrator, trajectory, measure)
    path = cheapest_path(costs, len(recipe.steps), keep=1.0 / gamma)
    return move_to_points(recipe, trajectory, path)


def chord_deviation(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """How far points are from the lines through two others, [N], all of them [N, size]."""
    chord = torch.nn.functional.normalize(start - end, dim=1)
    ahead = x - end
    along = (ahead * chord).sum(dim=1, keepdim=True)
    distances: Tensor = torch.linalg.vector_norm(ahead - along * chord, dim=1)
    return distances


def _measure(
    trajectory: Trajectory, schedule: NoiseSchedule, norm: int
) -> Callable[[Tensor, int], float]:
    """The cost of a step by the state that it leads to and the point there."""
    alphas = [
        schedule.alpha_sigma(max(level, schedule.pure_noise))[0] for level in trajectory.log_snrs
    ]

    def scaled(x: Tensor, j: int) -> Tensor:
        return x.double().flatten(1) / alphas[j]

    if norm:
        return lambda x, j: float(
            torch.linalg.vector_norm(
                scaled(x, j) - scaled(trajectory.states[j], j), ord=norm, dim=1
            ).mean()
        )
    start, end = scaled(trajectory.states[0], 0), scaled(trajectory.states[-1], -1)

    def deviation(x: Tensor, j: int) -> float:
        return float(chord_deviation(scaled(x, j), start, end).mean())

    own = [deviation(x, j) for j, x in enumerate(trajectory.states)]
    return lambda x, j: deviation(x, j) - own[j]


FITS = {
    "gits": Fit(
        "GITS (2024): the times of the cheapest path over distances from a trajectory's chord",
        (
            Setting("fine steps", _FINE, 2, 1000),
            Setting("samples", _SAMPLES, 1, 10_000),
            Setting("gamma", _GAMMA, 0.1, 10, whole=False),
            Setting("norm", 0, 0, 2),
        ),
        fit_gits,
        "time",
        forwards=lambda recipe, denoiser, fine, samples, gamma, norm: (
            samples * fine_count(recipe, denoiser, steps=fine)
        ),
    )
}
