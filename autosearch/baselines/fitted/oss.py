"""OSS (2025): times of Euler's method that end nearest to a fine trajectory, greedily.

A fine trajectory of Euler's method in the time of flows, which is DDIM, has N steps. For each
sample, dynamic programming over (number of steps, fine point) keeps one state: of all states that
were kept one step before, the one from which a step comes nearest to the sample's fine state there.
The network is asked at every state that is kept. Only one state is kept at each point, so what is
found is not the best path, and how near the path was on its way does not count. The times are the
median over samples of the points that they took.

The trap: before the first step the state is the initial noise *whatever the point*, so a path may
begin at any of them, and the first time of a published schedule is below that of pure noise (0.9968
for FLUX). It is kept as published: the recipe starts from the same noise at that time.

Where we deviate: a path has exactly K steps. The released code also keeps the state of a shorter
path where one more step comes no nearer, and then follows a path that has not led to that state.
Distances are those of the model's own states; as each is compared at one point only, their scale
plays no part. Whatever solver the recipe has, its times are those of Euler's method.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autosearch._typing import Array
from autosearch.baselines.base import Setting
from autosearch.baselines.fine import fine_count
from autosearch.baselines.fitted.base import Fit, check_recipe
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import (
    Trajectory,
    move_to_points,
    record_trajectory,
)
from autosearch.baselines.fitted.shortest_path import CheapestPaths
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.solvers import Evaluation
from autosearch.recipe import Recipe

__all__ = ["FITS", "fit_oss", "oss_paths"]

_FINE = 200
_SAMPLES = 20


def fit_oss(
    recipe: Recipe, calibrator: Calibrator, fine: int = _FINE, samples: int = _SAMPLES
) -> Recipe:
    """The recipe at the median times of the samples' paths of as many steps.

    Args:
        recipe: with the steps whose times are fitted.
        calibrator: the model.
        fine: steps of the fine trajectory; published: 200, and 100 for FLUX.
        samples: each of which has a path.

    Raises:
        UserError: for more steps than fine ones, and for weights that belong to times.
    """
    check_recipe(recipe, "OSS", weighted=False, twice=False)
    trajectory = record_trajectory(recipe, calibrator, steps=fine, samples=samples)
    paths = oss_paths(trajectory, calibrator, len(recipe.steps))
    # Of ascending paths the medians ascend too, and so they do when halves are rounded down.
    middle = np.floor(np.median(paths, axis=0)).astype(int)
    return move_to_points(recipe, trajectory, middle.tolist())


def oss_paths(trajectory: Trajectory, calibrator: Calibrator, steps: int) -> NDArray[np.int64]:
    """The points [samples, steps + 1] of each sample's greedy path through a fine trajectory.

    Args:
        trajectory: of DDIM; its last point is the end of all paths, and its first one need not be
            their start.
        calibrator: the model.
        steps: of the paths, at most as many as the trajectory has.
    """
    schedule = calibrator.denoiser.schedule
    scales = np.array([schedule.alpha_sigma(level) for level in trajectory.log_snrs])
    plan, count = calibrator.plan(trajectory.recipe), len(trajectory.evaluations)
    samples = len(trajectory.states[0])
    network = calibrator.network(samples)
    points = torch.stack([state.flatten(1) for state in trajectory.states])
    searches = [CheapestPaths(np.zeros(count + 1), keep=0.0) for _ in range(samples)]
    states = _initial_states(trajectory, calibrator, count - steps + 1)
    with torch.inference_mode():
        for k in range(steps):
            # Each path has `steps` edges: so many points lie before and after this one's ends.
            first, last = k, count - steps + k
            found = [
                network.evaluate(plan.steps[i], x)
                for i, x in zip(range(first, last + 1), states, strict=True)
            ]
            data, noise = _predictions(found)
            chosen = []
            for n, search in enumerate(searches):
                costs = np.full((count + 1, count + 1), math.inf)
                costs[first : last + 1] = _distances(data[:, n], noise[:, n], points[:, n], scales)
                costs[:, last + 2 :] = math.inf
                costs[np.tril_indices(count + 1)] = math.inf
                chosen.append(search.extend(costs) - first)
            states = [
                _reached(data, noise, [one[j] for one in chosen], scales[j], like=states[0])
                for j in range(first + 1, last + 2)
            ]
    return np.array([search.nodes() for search in searches])


def _initial_states(trajectory: Trajectory, calibrator: Calibrator, count: int) -> list[Tensor]:
    """The initial noise as it is where a recipe begins at each of the first ``count`` points."""
    fine = trajectory.recipe
    noise = calibrator.noise(len(trajectory.states[0]))
    alone = [fine.model_copy(update={"steps": [step]}) for step in fine.steps[:count]]
    return [calibrator.plan(one).start_scale * noise for one in alone]


def _predictions(found: Sequence[Evaluation]) -> tuple[Tensor, Tensor]:
    """Data and noise [points, N, size] of evaluations, the noise that stays in the state."""
    data = torch.stack([one.data.flatten(1) for one in found])
    noises = []
    for one in found:
        kept = one if one.unguided is None else one.unguided
        assert kept.noise is not None  # no step starts from clean data
        noises.append(kept.noise.flatten(1))
    return data, torch.stack(noises)


def _distances(data: Tensor, noise: Tensor, points: Tensor, scales: Array) -> Array:
    """Mean square distances [from, to] of DDIM's steps from where a trajectory is.

    Args:
        data: [from, size] predictions of one sample.
        noise: [from, size] the same as noise.
        points: [to, size] the sample's states on the trajectory.
        scales: [to, 2] alpha and sigma there.
    """
    d, e, x = (value.double().cpu().numpy() for value in (data, noise, points))
    alpha, sigma = scales.T
    # |alpha d + sigma e - x|^2, written out.
    squared = (
        np.outer((d * d).sum(1), alpha**2)
        + np.outer((e * e).sum(1), sigma**2)
        + 2.0 * np.outer((d * e).sum(1), alpha * sigma)
        - 2.0 * (d @ x.T) * alpha
        - 2.0 * (e @ x.T) * sigma
        + (x * x).sum(1)
    )
    distances: Array = squared / d.shape[1]
    return distances


def _reached(
    data: Tensor, noise: Tensor, origins: Sequence[int], scale: Array, *, like: Tensor
) -> Tensor:
    """The states [N, *sample_shape] at a point, each by DDIM's step from an origin of its own."""
    rows = torch.arange(len(origins), device=data.device)
    chosen = torch.tensor(origins, device=data.device)
    alpha, sigma = scale.tolist()
    reached: Tensor = alpha * data[chosen, rows] + sigma * noise[chosen, rows]
    return reached.reshape(like.shape)


def _forwards(recipe: Recipe, denoiser: Denoiser, fine: int, samples: int) -> float:
    """The fine trajectory, and at each step of the paths all points where one may be."""
    points, steps = fine_count(recipe, denoiser, steps=fine), len(recipe.steps)
    return samples * (points + steps * max(points - steps + 1, 0))


FITS = {
    "oss": Fit(
        "OSS (2025): the times of Euler's method that end nearest to a fine trajectory, greedily",
        (Setting("fine steps", _FINE, 2, 1000), Setting("samples", _SAMPLES, 1, 10_000)),
        fit_oss,
        "time",
        forwards=_forwards,
    )
}
