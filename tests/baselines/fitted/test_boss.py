"""BOSS: dynamic programming finds what trying everything finds."""

import itertools

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.boss import straighten
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import (
    Trajectory,
    edge_costs,
    mean_square,
    record_trajectory,
)
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.shortest_path import cheapest_path
from autosearch.diffusion.schedules import EDM
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe


def squares(recipe: Recipe, calibrator: Calibrator, way: Trajectory) -> np.ndarray:
    return edge_costs(recipe, calibrator, way, lambda x, j: mean_square(x, way.states[j]))


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_on_a_gaussian_the_path_is_the_best_in_closed_form(steps: int) -> None:
    """From N(0, s^2) Euler's step multiplies a state by ``(s^2 + a b) / (s^2 + a^2)``."""
    scale, fine = 0.5, 14
    data = Mixture.gaussian(np.zeros(1), np.array([[scale**2]]))
    calibrator = Calibrator(ExactDenoiser(data, EDM(), "data", dtype=torch.float64))
    recipe = baseline(f"ddim@{steps}", calibrator.denoiser)
    way = record_trajectory(recipe, calibrator, steps=fine, samples=5)
    sigmas = np.array([*(step.time for step in way.recipe.steps), 0.0])
    kept = (scale**2 + np.outer(sigmas, sigmas)) / (scale**2 + sigmas[:, None] ** 2)
    sizes = np.cumprod([1.0, *np.diag(kept, 1)])
    costs = (sizes[:, None] * kept - sizes) ** 2

    def total(path: tuple[int, ...]) -> float:
        return sum(costs[i, j] for i, j in itertools.pairwise((*path, fine)))

    every = itertools.combinations(range(1, fine), steps - 1)
    best = min(((0, *inner) for inner in every), key=total)
    found = straighten(recipe, calibrator, fine, 5)
    assert [step.time for step in found.steps] == sigmas[list(best)].tolist()


def test_a_path_of_all_steps_costs_nothing(make) -> None:
    calibrator = Calibrator(make("flow"))
    recipe = baseline("ddim@3", calibrator.denoiser)
    way = record_trajectory(recipe, calibrator, steps=12, samples=20)
    costs = squares(recipe, calibrator, way)
    assert np.diag(costs, 1) == pytest.approx(0, abs=1e-12)
    assert cheapest_path(costs, 12) == list(range(13))
    path = cheapest_path(costs, 3)
    even = costs[0, 4] + costs[4, 8] + costs[8, 12]
    assert sum(costs[i, j] for i, j in itertools.pairwise(path)) <= even


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_only_times_change(make, model: str) -> None:
    calibrator = Calibrator(make(model))
    before = baseline("unipc@5", calibrator.denoiser)
    after = resolve("unipc+boss:30:20@5", calibrator).recipe
    assert calibrator.forward_equivalents == pytest.approx(30 * 20)
    assert [s.time for s in before.steps] != [s.time for s in after.steps]
    same = {"time": 0.0, "log_snr": None}
    assert [s.model_copy(update=same) for s in after.steps] == [
        s.model_copy(update=same) for s in before.steps
    ]
    calibrator.plan(after)


def test_an_end_before_the_clean_one_is_kept(make) -> None:
    calibrator = Calibrator(make("vp"))
    recipe = baseline("ddim-few-step@4", calibrator.denoiser)
    found = straighten(recipe, calibrator, fine=40, samples=10)
    assert found.end == recipe.end
    assert calibrator.plan(found).steps[-1].next_log_snr == recipe.end


def test_too_few_fine_steps_are_refused(make) -> None:
    with pytest.raises(UserError, match="has 4 steps, and the recipe 5; use more"):
        resolve("ddim+boss:4@5", Calibrator(make("vp")))
