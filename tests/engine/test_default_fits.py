"""Fits that a search starts from where nobody names its baselines."""

from typing import Any

import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fitted.names import fit_forwards
from autosearch.engine import prepare
from autosearch.engine.default_fits import FITTED, default_fits
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import fitted_names
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.setup_share import SETUP_SHARE
from autosearch.study.events import Asked, Fitted
from autosearch.study.study import Study

SOLVER = {"orders": [1, 2], "forms": ["dpmsolver"], "relaxations": [], "correctors": ["none"]}


def problem(tools, **keys: Any) -> Problem:
    given = {"space": {"timesteps": {"steps": [2, 6]}, "solver": SOLVER}, "baselines": None}
    return Problem.of(tools.experiment(**{**given, **keys}))


def budget(forwards: float) -> dict[str, Any]:
    return {"budget": {"forward_equivalents": forwards}}


@pytest.mark.parametrize("forwards", [1e5, 3e5, 9e5, 5e6])
def test_few_steps_come_first_and_all_stay_within_a_fifth(tools, forwards) -> None:
    made = problem(tools, **budget(forwards))
    names = fitted_names(made)
    assert fit_forwards(names, made.denoiser) <= SETUP_SHARE * forwards
    assert names == [f"dpmpp_2m-logsnr+moments@{n}" for n in range(2, 2 + len(names))]
    if forwards == 5e6:  # all that there are
        assert len(names) == 5
    else:
        more = [*names, f"dpmpp_2m-logsnr+moments@{2 + len(names)}"]
        assert fit_forwards(more, made.denoiser) > SETUP_SHARE * forwards


def test_every_solver_that_the_space_holds_is_fitted_where_there_is_room(tools) -> None:
    made = problem(tools, space={"timesteps": {"steps": [3, 4]}, "solver": {}}, **budget(1e8))
    assert fitted_names(made) == [f"{s}-logsnr+moments@{n}" for s in FITTED for n in (3, 4)]


def test_a_budget_in_candidates_is_worth_what_they_take(tools) -> None:
    in_candidates = problem(tools, budget={"candidates": 2000}, samples=100)
    in_forwards = problem(tools, **budget(2000 * 4 * 100), samples=100)
    assert fitted_names(in_candidates) == fitted_names(in_forwards) != []
    assert fitted_names(problem(tools, budget={"candidates": 20})) == []
    assert fitted_names(problem(tools, budget={"hours": 100.0})) == []


def test_a_teacher_takes_its_part_of_the_fifth(tools) -> None:
    alone = fitted_names(problem(tools, **budget(6e5)))
    taught = fitted_names(
        problem(tools, objectives=["teacher_fd", "nfe"], samples=400, **budget(6e5))
    )
    assert len(taught) < len(alone)


def test_a_space_of_times_alone_has_fits_of_its_only_solver(tools) -> None:
    made = problem(tools, space={"timesteps": {"steps": [3, 4]}}, **budget(1e8))
    assert fitted_names(made) == ["ddim-logsnr+moments@3", "ddim-logsnr+moments@4"]


@pytest.mark.parametrize("space", [{"few_step": {}}, {"solver": {}}])
def test_other_spaces_have_none(tools, space) -> None:
    assert fitted_names(problem(tools, space=space, **budget(1e8))) == []


def test_what_is_named_is_all_there_is(tools) -> None:
    made = problem(tools, baselines=["ddim"], **budget(1e8))
    assert fitted_names(made) == []
    assert default_fits(made, [3]) != []


def test_a_study_that_goes_on_with_more_keeps_the_starts_that_it_began_with(tools) -> None:
    made = problem(tools, **budget(1e8))
    assert len(fitted_names(made)) > 1
    name = fitted_names(made)[0]
    recipe = baseline("dpmpp_2m-logsnr@2", made.denoiser)
    fit = Fitted(
        name=name, recipe=recipe.to_dict(), reason=None, forward_equivalents=9.0, budgeted=9.0
    )
    events = [make_header(made, "study"), fit]
    asked = [
        Asked(
            id=0,
            kind="baseline",
            name=name,
            genome=made.space.origin(),
            identity="one",
            nominal=1.0,
            duplicates=0,
            told=0,
        )
    ]
    study, kept = Study.of([*events, *asked]), []
    recorder = Recorder(None, study, kept.append)
    assert prepare._fits(made, recorder) == {name: recipe}
    # What cannot be fitted is no start; others are.
    failed = fit.model_copy(update={"recipe": None, "reason": "no blocks"})
    study = Study.of([events[0], failed, *asked])
    assert prepare._fits(made, Recorder(None, study, kept.append)) == {}
