"""OLSS (2023): times, and least-squares weights of all that is known by then.

A fine DDIM trajectory is recorded. The path is the one whose worst step is best: bisection over a
limit on the error, and for each limit the longest steps that keep it, greedily, each of them found
by bisection as if the error grew with the length. A step's error is that of the best linear
combination of its state and all predictions so far. The final weights are fitted anew in double
precision, with the first state in the place of the current one, which lies in the same span.
Published for noise predictions, which at pure noise repeat the state and near it almost do: here
they are of the data, of which the sampler's own states have the same span. A path with fewer steps
than asked for is filled up in the middle of its longest ones; the released code takes only full
ones.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from autosearch._typing import Array
from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.boss import move_to_points
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import Trajectory, record_trajectory
from autosearch.recipe import Recipe, round_float

__all__ = ["FITS", "Regression", "best_path", "search_subspace"]

_FINE = 100
_SAMPLES = 64
_BISECTIONS = 30


class Regression:
    """Least squares over a trajectory's states and data predictions.

    Everything is seen in an orthogonal basis of their span, which changes no distance.
    """

    def __init__(self, trajectory: Trajectory) -> None:
        values = [*trajectory.states, *(point.data for point in trajectory.evaluations)]
        matrix = torch.stack([value.double().flatten() for value in values], dim=1)
        self._rows = len(matrix)
        triangle = torch.linalg.qr(matrix, mode="r").R.cpu().numpy()
        self._states: Array = triangle[:, : len(trajectory.states)]
        self._predictions: Array = triangle[:, len(trajectory.states) :]
        self.count = len(trajectory.evaluations)

    def weights(self, state: int, path: Sequence[int], target: int) -> tuple[Array, float]:
        """Weights [1 + P] of a state and of P predictions, and the mean square error."""
        basis = np.column_stack([self._states[:, [state]], self._predictions[:, list(path)]])
        solution = np.linalg.lstsq(basis, self._states[:, target], rcond=None)[0]
        weights: Array = solution.astype(np.float64)
        left = basis @ weights - self._states[:, target]
        return weights, float(left @ left) / self._rows


def best_path(regression: Regression, steps: int) -> list[int]:
    """The points, from the first, at which so many steps begin."""
    if steps >= regression.count:
        return list(range(regression.count))
    high = max(regression.weights(0, [0], j)[1] for j in range(1, regression.count + 1))
    low, best = 0.0, _greedy(regression, steps, high)
    assert best is not None  # one step may go anywhere
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        path = _greedy(regression, steps, middle)
        if path is None:
            low = middle
        else:
            high, best = middle, path
    return _filled(best, steps, regression.count)


def search_subspace(
    recipe: Recipe, calibrator: Calibrator, fine: int = _FINE, samples: int = _SAMPLES
) -> Recipe:
    """Fit as many steps of form ``linear`` as the recipe has, at the best path's times.

    Args:
        recipe: deterministic.
        calibrator: the model.
        fine: steps of the recorded trajectory.
        samples: to fit on.

    Raises:
        UserError: for stochastic recipes, and for more steps than fine ones.
    """
    check_recipe(recipe, "OLSS", noisy=False)
    trajectory = record_trajectory(recipe, calibrator, steps=fine, samples=samples)
    regression = Regression(trajectory)
    path = best_path(regression, len(recipe.steps))
    plain: dict[str, Any] = {
        "evaluate": "network",
        "order": 1,
        "prediction": "data",
        "form": "linear",
        "start_point": None,
        "points": None,
        "relaxation": None,
        "corrector": "none",
        "compensation": 1.0,
    }
    changes = []
    for k, target in enumerate([*path[1:], regression.count]):
        exact, _ = regression.weights(0, path[: k + 1], target)
        weights = [round_float(weight) for weight in exact.tolist()]
        changes.append({**plain, "weights": weights})
    return with_steps(move_to_points(recipe, trajectory, path), changes)


def _greedy(regression: Regression, steps: int, limit: float) -> list[int] | None:
    """The points of at most so many steps, each as long as the limit allows; None without."""
    path = [0]
    for _ in range(steps):
        low, high = path[-1] + 1, regression.count
        while low < high:
            middle = (low + high + 1) // 2
            if regression.weights(path[-1], path, middle)[1] > limit:
                high = middle - 1
            else:
                low = middle
        if low == regression.count:
            return path
        path.append(low)
    return None


def _filled(path: Sequence[int], steps: int, end: int) -> list[int]:
    """The path with points added in the middle of its longest steps until there are enough."""
    points = list(path)
    while len(points) < steps:
        ends = [*points, end]
        widest = max(range(len(points)), key=lambda k: ends[k + 1] - ends[k])
        points.append((ends[widest] + ends[widest + 1]) // 2)
        points.sort()
    assert all(a < b for a, b in pairwise([*points, end]))
    return points


FITS = {
    "olss": Fit(
        "OLSS (2023): times and least-squares weights of everything so far",
        (Setting("fine steps", _FINE, 2, 1000), Setting("samples", _SAMPLES, 1, 10_000)),
        search_subspace,
        "time",
        forwards=lambda recipe, denoiser, fine, samples: fine * samples,
    )
}
