"""BOSS: dynamic programming finds what trying everything finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines import baseline
from autosearch.baselines.fitted.boss import cheapest_path, edge_costs, straighten
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import record_trajectory
from autosearch.baselines.fitted.names import resolve
from autosearch.errors import UserError


@given(seed=st.integers(0, 10_000), nodes=st.integers(2, 8), data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_path_is_the_best_of_all(seed: int, nodes: int, data: st.DataObject) -> None:
    costs = np.random.default_rng(seed).random((nodes, nodes))
    steps = data.draw(st.integers(1, nodes - 1))
    found = cheapest_path(costs, steps)

    def total(path: tuple[int, ...]) -> float:
        return sum(costs[i, j] for i, j in itertools.pairwise(path))

    inner = itertools.combinations(range(1, nodes - 1), steps - 1)
    best = min(total((0, *chosen, nodes - 1)) for chosen in inner)
    assert total(tuple(found)) == pytest.approx(best)
    assert len(found) == steps + 1


def test_a_path_of_all_steps_costs_nothing(make) -> None:
    calibrator = Calibrator(make("flow"))
    recipe = baseline("ddim@3", calibrator.denoiser)
    way = record_trajectory(recipe, calibrator, steps=12, samples=20)
    costs = edge_costs(recipe, calibrator, way)
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
