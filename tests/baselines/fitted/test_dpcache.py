"""DPCache: dynamic programming equals brute force, on errors that are what they claim to be."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.dpcache import fit_dpcache, forecast_errors, key_steps
from autosearch.baselines.fitted.names import check_name, resolve
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import last_state
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

FEW = 10
RANGE = "block.0..block.3"


@pytest.fixture(scope="module")
def dit(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    return random_dit()


def cost(errors: np.ndarray, keys: tuple[int, ...]) -> float:
    """The sum of all forecasts' errors, key step by key step."""
    ends = (*keys[1:], len(errors))
    befores = (keys[0], *keys[:-1])
    return sum(
        float(errors[i, j, j + 1 : k].sum()) for i, j, k in zip(befores, keys, ends, strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 8), st.integers(1, 8), st.integers(1, 3), st.integers(0, 10**6))
def test_equals_brute_force(count: int, computed: int, forced: int, seed: int) -> None:
    computed = min(computed, count)
    forced = min(forced, computed)
    errors = np.random.default_rng(seed).random((count, count, count))
    found = key_steps(errors, computed, forced=forced)
    every = [
        (*range(forced), *rest)
        for rest in itertools.combinations(range(forced, count), computed - forced)
    ]
    assert found in every
    assert cost(errors, found) == pytest.approx(min(cost(errors, keys) for keys in every))


def test_costs_nothing_where_all_computes() -> None:
    errors = np.random.default_rng(0).random((6, 6, 6))
    assert cost(errors, key_steps(errors, 6, forced=3)) == 0


def test_errors_are_those_of_the_sampler(dit: NetworkDenoiser) -> None:
    """The local error of reuse at the second step, from the features themselves."""
    recipe, calibrator = baseline("ddim@3", dit), Calibrator(dit)
    for order in (0, 1):
        errors = forecast_errors(recipe, calibrator, order, FEW)
        assert np.isfinite([errors[i, j, k] for i, j, k in itertools.combinations(range(3), 3)])
        assert np.isnan(errors[0, 2, 1])
        assert errors[0, 0, 1] > 0
    reuse, line = (forecast_errors(recipe, calibrator, order, FEW) for order in (0, 1))
    assert reuse[0, 1, 2] == reuse[1, 1, 2] == line[1, 1, 2]
    assert line[0, 1, 2] != reuse[0, 1, 2]


def test_the_recipe_computes_where_it_should(dit: NetworkDenoiser) -> None:
    calibrator = Calibrator(dit)
    full = baseline("dpmpp_2m@9", dit)
    recipe = resolve("dpmpp_2m+dpcache:5@9", calibrator).recipe
    acting = [step.sites for step in recipe.steps]
    assert acting[:3] == [{}, {}, {}]
    assert sum(not sites for sites in acting) == 5
    assert all(sites in ({}, {RANGE: "output:1"}) for sites in acting)
    plan, whole = (compile_recipe(one, dit) for one in (recipe, full))
    blocks = sum(site.macs for site in dit.sites if site.parent is None)
    assert whole.macs - plan.macs == 4 * blocks
    with torch.inference_mode():
        assert (
            last_state(dit, plan, calibrator.noise(FEW), calibrator.condition(FEW))
            .x.isfinite()
            .all()
        )
    # A whole trajectory and once more at each of its states.
    assert calibrator.forward_equivalents == pytest.approx(2 * 9 * 20)
    assert fit_dpcache(full, calibrator, 9, 1, FEW) == full


def test_an_analytic_first_step_is_no_key_step(dit: NetworkDenoiser) -> None:
    data = baseline("ddim@6", dit).to_dict()
    data["steps"][0]["evaluate"] = "zero_x0"
    recipe = type(baseline("ddim@6", dit)).from_dict(data)
    found = fit_dpcache(recipe, Calibrator(dit), 3, 0, FEW)
    assert [bool(step.sites) for step in found.steps] == [False] * 4 + [True] * 2


def test_refusals(dit: NetworkDenoiser, make: Callable[[str], ExactDenoiser]) -> None:
    with pytest.raises(UserError, match="leaves something out already"):
        fit_dpcache(baseline("ddim+fora@6", dit), Calibrator(dit), 3, 1)
    with pytest.raises(UserError, match="7 steps cannot compute in a recipe of 4"):
        resolve("ddim+dpcache@4", Calibrator(dit))
    with pytest.raises(UserError, match="this model has no blocks"):
        resolve("ddim+dpcache:2@4", Calibrator(make("vp")))
    with pytest.raises(UserError, match="dpcache's order is '2'; expected a whole number from 0"):
        check_name("ddim+dpcache:3:2@4")
