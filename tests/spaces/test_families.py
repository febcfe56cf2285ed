"""What single families promise, and which settings they refuse."""

import math
from itertools import pairwise

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.spaces import SolverChoice, Timesteps


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": [0, 5]}, "from 1 to 10000"),
        ({"steps": [5, 2]}, r"in order .*got \[5, 2\]"),
        ({"steps": [2]}, "two whole numbers"),
        ({"steps": [2, 10, 20]}, "two whole numbers"),
        ({"steps": [2.0, 10]}, "two whole numbers"),
        ({"steps": [True, 10]}, "two whole numbers"),
        ({"steps": [2, 2000]}, "2000 steps do not fit"),
        ({"min_gap": 500.0}, "10 steps do not fit at least 500 apart"),
        ({"min_gap": math.nan}, "do not fit"),
        ({"min_gap": math.inf}, "do not fit"),
    ],
)
def test_impossible_timesteps_are_refused(spaces, settings, message):
    with pytest.raises(UserError, match=message):
        spaces("linear", "timesteps", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"orders": [1, 5]}, "unknown order '5'"),
        ({"correctors": ["pseud"]}, "unknown corrector 'pseud'; did you mean 'pseudo'"),
        ({"relaxations": ["lin"]}, "unknown relaxation 'lin'"),
        ({"restarts": [-7]}, "unknown restart '-7'"),
        ({"orders": [4], "forms": ["dpmsolver"]}, "add form 'taylor'"),
        ({"rate": 0.0}, "outside above 0 to 1"),
        ({"eta": 1.5}, "outside 0 to 1"),
        ({"predictions": ["dat"]}, "unknown prediction 'dat'; did you mean 'data'"),
        ({"forms": ["tailor"]}, "unknown form 'tailor'; did you mean 'taylor'"),
        ({"orders": []}, "orders"),
        ({"forms": []}, "forms"),
    ],
)
def test_impossible_solvers_are_refused(spaces, settings, message):
    with pytest.raises(UserError, match=message):
        SolverChoice(spaces("linear").denoiser, **settings)


def test_a_solver_keeps_to_what_may_be_chosen(spaces):
    denoiser = spaces("linear").denoiser
    family = SolverChoice(denoiser, orders=[2], predictions=["noise"], forms=["taylor"])
    genome = {"steps": [{"time": 5.0}, {"time": 3.0, "order": 1}], "start": {}, "end": "clean"}
    rng = np.random.default_rng(0)
    for change in (lambda: family.randomize(genome, rng), lambda: family.mutate(genome, rng)):
        change()
        for step in genome["steps"]:
            assert (step["order"], step["prediction"], step["form"]) == (2, "noise", "taylor")
    assert family.encodes(genome)


def test_a_narrow_range_of_steps_is_kept(spaces):
    space = spaces("linear", steps=[4, 4])
    rng = np.random.default_rng(0)
    genome = space.sample(rng)
    for _ in range(50):
        genome = space.crossover(space.mutate(genome, rng), space.sample(rng), rng)
        assert len(genome["steps"]) == 4


def test_one_step_is_a_space(spaces):
    space = spaces("linear", steps=[1, 1])
    rng = np.random.default_rng(0)
    genome = space.mutate(space.sample(rng), rng)
    assert len(genome["steps"]) == 1
    point = {p.name: p.choices[0] if p.choices else p.low for p in space.box()}
    assert len(space.from_box(point)["steps"]) == 1


def test_as_many_steps_as_fit_are_laid_out(spaces):
    space = spaces("linear", "timesteps", steps=[9, 9], min_gap=100.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        times = [step["time"] for step in space.mutate(space.sample(rng), rng)["steps"]]
        assert all(a - b >= 100 - 1e-6 for a, b in pairwise(times))
        assert times[-1] >= 0
        assert times[0] <= 999


def test_random_recipes_start_as_the_family_of_models_wants(spaces):
    rng = np.random.default_rng(0)
    for kind, scale in [("linear", 1.0), ("flow", 1.0)]:
        space = spaces(kind)
        assert space.plan(space.sample(rng)).start_scale == scale
    space = spaces("edm")
    for _ in range(5):
        plan = space.plan(space.sample(rng))
        # alpha is 1: the marginal of data with unit variance at the first noise level.
        assert plan.start_scale == pytest.approx(math.hypot(1, plan.steps[0].time), rel=1e-6)


def test_a_noise_prediction_is_never_asked_about_pure_noise(spaces):
    for kind, first in [("flow", 1.0), ("flow-noise", 0.999)]:
        family = next(f for f in spaces(kind).families if isinstance(f, Timesteps))
        assert family.first == pytest.approx(first, abs=1e-5)


def test_moved_steps_agree_again_with_the_network(spaces):
    space = spaces("linear", "timesteps")
    genome = space.encode(baseline("ddim-karras@6", space.denoiser))
    before = {step["time"]: step["log_snr"] for step in genome["steps"]}
    rng = np.random.default_rng(0)
    for _ in range(20):
        for step in space.mutate(genome, rng)["steps"]:
            if "log_snr" in step:
                assert before[step["time"]] == step["log_snr"]
