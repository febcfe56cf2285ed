"""The problem that an experiment states: what it holds and what it refuses before work is paid."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.teacher import Teacher
from autosearch.errors import UserError
from autosearch.experiment import experiment_from_dict

SPACE = {"timesteps": {"steps": [2, 4]}, "solver": {}}


def made(**keys: Any) -> Problem:
    base = {
        "model": {"name": "mixture", "dimension": 2, "components": 2},
        "space": SPACE,
        "objectives": ["fid", "nfe"],
        "baselines": ["ddim"],
    }
    return Problem.of(experiment_from_dict({**base, **keys}, where="x"))


# -- baselines ---------------------------------------------------------------------------------


def test_baselines_are_distinct_plans_ordered_by_steps():
    problem = made(baselines=["ddim", "dpmpp_2m", "ddim@3", "euler"])
    names = [known.name for known in make_baselines(problem, {})]
    assert names == [f"{name}@{k}" for k in (2, 3, 4) for name in ("ddim", "dpmpp_2m", "euler")]
    identities = {known.plan.identity for known in make_baselines(problem, {})}
    assert len(identities) == len(names)
    for known in make_baselines(problem, {}):
        recipe = baseline(known.name, problem.denoiser)
        assert known.plan == compile_recipe(recipe, problem.denoiser)
        assert problem.space.plan(known.genome) == known.plan


def test_all_that_the_space_can_encode_by_default():
    problem = made(baselines=None)
    names = {known.name for known in make_baselines(problem, {})}
    assert {"ddim@2", "ddim-trailing@4", "dpmpp_2m-logsnr@3", "taylor_2m@4"} <= names
    assert not any(name.startswith("ddpm") for name in names)
    assert make_baselines(made(baselines=[]), {}) == ()


def test_equal_plans_stand_once_under_the_first_name():
    # At two steps the last one is of order 1, and the first has no history.
    problem = made(space={"timesteps": {"steps": [2, 2]}, "solver": {}}, baselines=None)
    names = [known.name for known in make_baselines(problem, {})]
    assert "ddim-linspace-ms@2" in names
    assert "dpmpp_2m@2" not in names


def test_declared_constraints_leave_baselines_out():
    problem = made(baselines=["ddim", "ddim@4"], constraints={"nfe": {"max": 3}})
    assert [known.name for known in make_baselines(problem, {})] == ["ddim@2", "ddim@3"]
    few = made(constraints={"nfe": {"min": 3}})
    assert make_baselines(few, {})[0].name == "ddim@3"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dimm"], "baselines: unknown baseline solver 'dimm'; did you mean 'ddim'"),
        (["ddim-trailling"], "baselines: ddim-trailling: unknown grid .* 'trailing'"),
        (["ddim-flow"], "baselines: ddim-flow: grid 'flow' is not defined for vp models; use"),
        (
            ["ddim-gits:9"],
            "baselines: ddim-gits:9: .* gits's coefficient is '9'; expected a number",
        ),
        (["ddim@0"], "step count is 0"),
        (["ddim@five"], "write SOLVER"),
        (["ddim-"], "write SOLVER"),
        ([""], "write SOLVER"),
        (
            ["ddim-quadratic@50"],
            "'ddim-quadratic@50' cannot run on this model: grid 'quadratic' rep",
        ),
        (["ddim-few-step@7"], "cannot run on this model: .* is published for 4, 5, 6, 8 steps"),
        (["ddim+foraa@3"], "unknown policy 'foraa'; did you mean 'fora'"),
    ],
)
def test_baselines_that_cannot_be_are_refused(names, message):
    problem = made(baselines=names)
    with pytest.raises(UserError, match=message):
        make_baselines(problem, {})


def test_what_the_space_cannot_express_is_a_yardstick():
    problem = made(baselines=["ddim@3", "ddim@9", "ddpm@2"])
    assert [(b.name, b.foreign) for b in make_baselines(problem, {})] == [
        ("ddim@3", False),
        ("ddim@9", True),
        ("ddpm@2", True),
    ]


def test_a_space_without_timesteps_has_the_default_step_count():
    problem = made(space={"solver": {}}, baselines=None)
    names = [known.name for known in make_baselines(problem, {})]
    assert names[0] == "ddim@10"
    assert all(name.endswith("@10") for name in names)
    assert "dpmpp_2m-leading@10" in names


# -- constraints and signs ---------------------------------------------------------------------


def test_declared_and_measured_constraints():
    problem = made(constraints={"nfe": {"min": 2, "max": 3}, "fid_plain": {"max": 5.0}})
    plan = {k: problem.compile(baseline(f"ddim@{k}", problem.denoiser)) for k in (1, 3, 4)}
    assert problem.violation(plan[3]) is None
    assert problem.violation(plan[4]) == "nfe 4 is above 3"
    assert problem.violation(plan[1]) == "nfe 1 is below 2"
    assert problem.measured_violation({"nfe": 3, "fid_plain": 4.0}) is None
    assert problem.measured_violation({"nfe": 3, "fid_plain": 7.0}) == "fid_plain 7 is above 5"
    assert [o.name for o in problem.measure.objectives] == ["fid", "nfe", "fid_plain"]
    assert [o.name for o in problem.objectives] == ["fid", "nfe"]


def test_violations_say_by_how_much_measured_constraints_are_broken():
    bounds = {"nfe": {"max": 3}, "fid_plain": {"min": 1.0, "max": 5.0}, "kid": {"max": 0.5}}
    problem = made(constraints=bounds)
    values = {"nfe": 9.0, "fid_plain": 4.0, "kid": 0.75}
    # What a plan declares is checked before: it is none of them.
    assert problem.violations(values) == (-1.0, 0.25)
    assert problem.violations({**values, "fid_plain": 0.25}) == (0.75, 0.25)
    assert problem.violations({**values, "fid_plain": 5.0, "kid": 0.0}) == (0.0, -0.5)
    assert made().violations(values) == ()
    assert made(constraints={"kid": {}}).violations(values) == (0.0,)


@pytest.mark.parametrize("name", ["teacher_mse", "teacher_fd"])
def test_stochastic_plans_have_no_teacher_distance(name):
    problem = made(objectives=[name, "nfe"])
    for stochastic in ("ddpm@4", "dpmpp_2m_sde@3"):
        plan = problem.compile(baseline(stochastic, problem.denoiser))
        assert problem.violation(plan) == f"{name} is not defined for stochastic recipes"
    with pytest.raises(UserError, match=f"baselines: ddpm: {name} is not defined for stochastic"):
        make_baselines(made(objectives=[name, "nfe"], baselines=["ddim", "ddpm"]), {})
    with pytest.raises(UserError, match=f"space: {name} is not defined .* leave the noise out"):
        made(objectives=[name, "nfe"], space={"named": {"recipes": ["ddpm@4", "dpmpp_2m_sde@5"]}})
    # Where a few are deterministic, those are searched.
    made(objectives=[name, "nfe"], space={"timesteps": {"steps": [8, 10]}, "solver": {"eta": 1}})


def test_what_is_only_reported_is_left_out_of_stochastic_plans():
    problem = made(report=["teacher_fd", "teacher_mse"], baselines=["ddpm"])
    plans = {n: problem.compile(baseline(n, problem.denoiser)) for n in ("ddpm@3", "ddim@3")}
    rows = np.random.default_rng(0).standard_normal((100, 2))
    given = {"features": rows, "final": rows}
    values = {
        name: problem.report_measure.estimates(plan, given, samples=100, teacher=Teacher(rows))
        for name, plan in plans.items()
    }
    assert set(values["ddpm@3"]) == {"fid", "nfe"}
    assert set(values["ddim@3"]) == {"fid", "nfe", "teacher_fd", "teacher_mse"}


def test_the_sign_flips_for_what_is_maximised():
    problem = made(objectives=["precision", "nfe"])
    assert problem.signed({"precision": 0.25, "nfe": 4.0}) == (-0.25, 4.0)


def test_reported_objectives_are_measured_once_and_at_validation_only():
    problem = made(report=["fid_plain", "fid"], constraints={"kid": {"max": 1}})
    assert [o.name for o in problem.measure.objectives] == ["fid", "nfe", "kid"]
    assert [o.name for o in problem.report_measure.objectives] == ["fid", "nfe", "kid", "fid_plain"]


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "mixtur"}, "model: unknown model 'mixtur'; did you mean 'mixture'"),
        ({"model": {"name": "mixture", "dim": 3}}, "model: unknown key 'dim'"),
        ({"space": {"timestep": {}}}, "space: unknown space 'timestep'; did you mean 'timesteps'"),
        ({"space": {"timesteps": {"step": [2, 3]}}}, "timesteps: unknown key 'step'; .*'steps'"),
        ({"space": {"timesteps": {"steps": 4}}}, r"space\.timesteps\.steps: "),
        ({"space": {"timesteps": {"steps": [0, 4]}}}, "from 1 to 10000"),
        ({"space": {"solver": {"orders": [7]}}}, "unknown order '7'"),
        ({"objectives": ["fidd"]}, "objectives: unknown objective 'fidd'; did you mean 'fid'"),
        ({"objectives": ["fid", "fid"]}, "'fid' stands twice"),
        ({"objectives": ["is", "nfe"]}, "'is' needs logits, which model 'mixture' cannot give"),
        ({"constraints": {"nfee": {"max": 3}}}, "constraints: unknown objective 'nfee'"),
        ({"report": ["fid_plane"]}, "report: unknown objective 'fid_plane'"),
        ({"report": ["fd_pixels"]}, "'fd_pixels' needs pixels"),
        ({"samples": 150}, "samples: 150 is not a multiple of the seed block of 100; use 200"),
        ({"samples": 50}, "samples: 50 .*; use 100"),
        ({"validation": {"samples": 4050}}, r"validation\.samples: 4050 is not a multiple"),
        (
            {"model": {"name": "mixture", "dimension": 40}, "samples": 100},
            "samples: 100 is too few for fid, which needs at least 240; use 300",
        ),
        (
            {"objectives": ["nfe"], "report": ["fid"], "validation": {"samples": 70}},
            r"validation\.samples: 70 is not a multiple",
        ),
        (
            {"objectives": ["teacher_mse", "nfe"], "noise": "fresh"},
            "noise: a distance to the teacher is one to what the same noise leads to",
        ),
        (
            {"objectives": ["nfe"], "budget": {"forward_equivalents": 100}},
            "without a measured objective .* give candidates",
        ),
        (
            {
                "model": {"name": "mixture", "family": "flow", "schedule": "rectified"},
                "space": {"solver": {}},
            },
            "pure noise",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_when_it_is_stated(keys, message):
    with pytest.raises(UserError, match=message) as caught:
        made(**keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("nsag2", "algorithm: unknown algorithm 'nsag2'; did you mean 'nsga2'"),
        ({"name": "nsga2", "size": 3}, "algorithm: unknown key 'size'"),
        ({"name": "nsga2", "population": 2}, "population: 2 is too small"),
        ({"name": "nsga2", "population": "many"}, r"algorithm\.population: "),
        ({"name": "random", "population": 5}, "algorithm: unknown key 'population'"),
        ({"name": "tpe", "startup": 0}, "startup: 0 is too small"),
        ("cmaes", "cmaes searches one objective and the experiment has 2"),
    ],
)
def test_algorithms_that_cannot_be_are_refused(algorithm, message):
    with pytest.raises(UserError, match=message):
        made(algorithm=algorithm).make_algorithm()


def test_a_budget_beyond_what_an_algorithm_bears_is_refused():
    message = "budget.candidates: 201 is above the 200 that algorithm 'gp' can bear; use at most"
    with pytest.raises(UserError, match=message):
        made(algorithm="gp", budget={"candidates": 201}).make_algorithm()
    for budget in ({"candidates": 200}, {"hours": 1}, {"forward_equivalents": 1e9}):
        assert made(algorithm="gp", budget=budget).make_algorithm().most_candidates == 200


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 2000)
    | st.floats(-10, 1e6)
    | st.sampled_from(["fid", "nfe", "ddim", "dpmpp_2m@3", "five", "data", "taylor"])
)
NESTED = VALUES | st.lists(VALUES, max_size=3)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "space": st.dictionaries(
            st.sampled_from(["timesteps", "solver"]),
            st.dictionaries(st.sampled_from(["steps", "min_gap", "orders", "forms"]), NESTED),
            min_size=1,
        ),
        "algorithm": st.dictionaries(
            st.sampled_from(["population", "crossover", "fresh"]), VALUES, max_size=2
        ),
        "objectives": st.lists(st.sampled_from(["fid", "nfe", "macs", "kid", "is"]), min_size=1),
        "constraints": st.dictionaries(
            st.sampled_from(["fid", "memory", "x"]), st.just({"max": 3.0}), max_size=1
        ),
        "baselines": st.lists(st.sampled_from(["ddim", "ddim@3", "euler", "x"]), max_size=2),
        "samples": st.integers(1, 1000),
    },
)


@settings(max_examples=80, deadline=None)
@given(keys=PARTS)
def test_any_settings_give_a_problem_or_one_clear_line(keys):
    message = ""
    try:
        problem = made(**keys)
        assert problem.make_algorithm()
        assert all(problem.violation(known.plan) is None for known in make_baselines(problem, {}))
    except UserError as error:
        message = str(error)
    assert "\n" not in message
