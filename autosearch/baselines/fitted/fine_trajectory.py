"""Fine trajectories of a model, which recipes of few steps are fitted to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array
from autosearch.baselines.fine import fine_dpmpp, fine_range
from autosearch.baselines.fitted.base import with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.plan.solver import compile_updates
from autosearch.diffusion.sampling.sampler import plan_statistics
from autosearch.diffusion.solvers import Evaluation, next_state
from autosearch.recipe import Recipe

__all__ = [
    "Trajectory",
    "edge_costs",
    "fine_states",
    "mean_square",
    "move_to_points",
    "record_trajectory",
]


@dataclass(frozen=True)
class Trajectory:
    """A recorded trajectory: its states, their times and the predictions there.

    Attributes:
        recipe: what was run, with every time spelled out.
        log_snrs: half log-SNR, log(alpha/sigma), of the states, one more than there are steps.
        states: [N, *sample_shape] each, the start first.
        evaluations: the network's predictions at each but the last.
    """

    recipe: Recipe
    log_snrs: Sequence[float]
    states: Sequence[Tensor]
    evaluations: Sequence[Evaluation]


def record_trajectory(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int, order: int = 1
) -> Trajectory:
    """A trajectory along a recipe, of DDIM or of DPM-Solver++ of a higher order.

    See :func:`autosearch.baselines.fine.fine_range`.
    """
    fine = fine_range(recipe, calibrator.denoiser, steps=steps, order=order)
    states = calibrator.states(fine, samples, keep=True)
    evaluations = [state.evaluation for state in states[1:] if state.evaluation is not None]
    return Trajectory(
        fine, [state.log_snr for state in states], [state.x for state in states], evaluations
    )


def edge_costs(
    recipe: Recipe,
    calibrator: Calibrator,
    trajectory: Trajectory,
    measure: Callable[[Tensor, int], float],
) -> Array:
    """The costs [points, points] of one step between points of a trajectory.

    The step is the recipe's first as it is without history.

    Args:
        recipe: whose first step is taken.
        calibrator: the model.
        trajectory: where steps start from, at the predictions there.
        measure: the cost of a step, from the state [N, *sample_shape] that it leads to and the
            point that it leads to.
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
                costs[i, j] = measure(reached, j)
    return costs


def move_to_points(recipe: Recipe, trajectory: Trajectory, path: Sequence[int]) -> Recipe:
    """The recipe's steps at the times of a trajectory's points; the path's end is not one."""
    points = [trajectory.recipe.steps[i] for i in path[: len(recipe.steps)]]
    return with_steps(recipe, [{"time": at.time, "log_snr": at.log_snr} for at in points])


def fine_states(
    recipe: Recipe, calibrator: Calibrator, *, steps: int, samples: int
) -> list[Tensor]:
    """States [N, *sample_shape] of a fine trajectory at the start of each step, and at the end.

    See :func:`autosearch.baselines.fine.fine_dpmpp`.
    """
    fine, counts = fine_dpmpp(recipe, calibrator.denoiser, steps=steps)
    states = calibrator.states(fine, samples, keep=True)
    return [states[count].x for count in counts]


def mean_square(a: Tensor, b: Tensor) -> float:
    """The mean square of the difference of two equal shapes, in double precision."""
    return float(torch.mean((a.double() - b.double()) ** 2))
