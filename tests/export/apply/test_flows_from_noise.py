"""Recipes of flows that begin at pure noise, in a pipeline: what was measured is what runs."""

import pytest

import autosearch
from autosearch.baselines import baseline
from autosearch.export.stock_solver import stock_solver
from autosearch.recipe import Recipe

NAMES = ("unipc_3-flow@4", "taylor_3s-flow-shift@4", "flow_heun-flow-shift@3", "unipc_bh1-flow@4")


def recipe_of(tiny, name):
    """A baseline without the guidance of its pipeline, or one whose times repeat."""
    denoiser = tiny.model.denoiser
    if name != "repeated":
        data = baseline(name, denoiser).to_dict()
        data["steps"] = [{**step, "guidance": []} for step in data["steps"]]
        return Recipe.from_dict(data)
    data = baseline("ddim-flow@3", denoiser).to_dict()
    times = [step["time"] for step in data["steps"]]
    again = {"order": 2, "form": "velocity", "start_point": -2}
    steps = [{}, again, {}, again, {}]
    at = (times[0], times[1], times[1], times[2], times[2])
    data["steps"] = [{"time": time, **step} for time, step in zip(at, steps, strict=True)]
    return Recipe.from_dict(data)


@pytest.mark.parametrize("name", [*NAMES, "repeated"])
def test_applied_and_by_the_scheduler_alone(tiny, name, difference):
    flux = tiny("flux")
    recipe = recipe_of(flux, name)
    ours = flux.ours(recipe)
    assert difference(flux.theirs(recipe), ours) < 1e-4
    pipe = flux.loaded()
    pipe.scheduler = autosearch.RecipeScheduler(recipe=recipe.to_dict())
    assert difference(flux.run(pipe), ours) < 1e-4


@pytest.mark.parametrize("name", [*NAMES, "repeated"])
def test_stock_schedulers_do_not_take_them(tiny, name):
    """And not because the solver's levels stood apart from the times: pure noise is its own."""
    reason = stock_solver(recipe_of(tiny("flux"), name), scales_start=False)
    assert reason == "stock flow schedulers of higher order take no times of one's own"


def test_eulers_method_from_pure_noise_is_the_stock_ones(tiny):
    found = stock_solver(recipe_of(tiny("flux"), "dpmpp_2m-flow@2"), scales_start=False)
    assert found.scheduler == "FlowMatchEulerDiscreteScheduler"
    assert found.values == [1, 0.5]
