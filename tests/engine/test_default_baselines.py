"""The baselines of a search that names none: a short list by a rule, recorded by its study."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import read_records

from autosearch.baselines import SOLVERS, Solver, strongest
from autosearch.baselines.strongest import Ranked
from autosearch.cli.dry_run import dry_run_text
from autosearch.engine.check import advice
from autosearch.engine.default_baselines import (
    BASELINES_SHARE,
    LEAST_PER_COUNT,
    MOST_PER_COUNT,
    default_baselines,
)
from autosearch.engine.dry_run import dry_run
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import continued, make_baselines, settle_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.experiment import Budget, experiment_from_dict
from autosearch.study.events import Ended, Header
from autosearch.study.journal import Journal, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

COUNTS = (2, 3, 4)


def made(**keys: Any) -> Problem:
    base = {
        "model": {"name": "mixture", "dimension": 2, "components": 2},
        "space": {"timesteps": {"steps": [COUNTS[0], COUNTS[-1]]}, "solver": {}},
        "objectives": ["fid", "nfe"],
        "samples": 400,
        "budget": {"candidates": 60},
    }
    return Problem.of(experiment_from_dict({**base, **keys}, where="x"))


def chosen(**keys: Any) -> list[str]:
    return list(default_baselines(made(**keys)).names)


@pytest.fixture(scope="module")
def shared() -> Problem:
    return made()


def set_zoo(solvers: dict[str, Solver]) -> None:
    vars(SOLVERS)["_own"] = dict(solvers)


@pytest.fixture
def known() -> Iterator[dict[str, Solver]]:
    """Few solvers, so that all of them are few; others are put back at the end."""
    everything = dict(SOLVERS.own)
    few = {name: everything[name] for name in ("ddim", "dpmpp_2m", "unipc")}
    set_zoo(few)
    yield few
    set_zoo(everything)


# -- the rule ----------------------------------------------------------------------------------


def test_the_own_scheduler_comes_first_at_each_step_count_then_the_strongest_round_by_round():
    names = chosen()
    assert names[:3] == ["ddim@2", "ddim@3", "ddim@4"]
    assert len(names) == 60 * BASELINES_SHARE
    counts = [int(name.partition("@")[2]) for name in names]
    assert counts == [*COUNTS] * 4


@given(
    candidates=st.integers(1, 300),
    forwards=st.one_of(st.none(), st.floats(1e3, 1e7)),
)
@settings(max_examples=15, deadline=None)
def test_beyond_the_own_scheduler_a_list_keeps_to_its_share_of_every_limit(
    shared, candidates, forwards
):
    budget = Budget(candidates=candidates, forward_equivalents=forwards)
    limited = shared.experiment.model_copy(update={"budget": budget})
    problem = replace(shared, experiment=limited)
    found = default_baselines(problem)
    plans = [problem.named_plan(name) for name in found.names]
    assert len({plan.identity for plan in plans}) == len(plans)
    assert len(plans) <= len(COUNTS) * (1 + MOST_PER_COUNT)
    within = len(plans) <= BASELINES_SHARE * candidates
    if forwards is not None:
        within &= sum(plan.cost(400) for plan in plans) <= BASELINES_SHARE * forwards
    assert within or list(found.names) == ["ddim@2", "ddim@3", "ddim@4"]
    assert within is (found.advice is None)


def test_a_larger_budget_only_adds_to_the_list():
    lists = [chosen(budget={"candidates": count}) for count in (1, 20, 30, 60, 200)]
    for short, long in itertools.pairwise(lists):
        assert long[: len(short)] == short
    forwards = [chosen(budget={"forward_equivalents": size}) for size in (1e4, 6e4, 1e5, 1e9)]
    for short, long in itertools.pairwise(forwards):
        assert long[: len(short)] == short
    assert sum(name.endswith("@4") for name in forwards[-1]) == 1 + MOST_PER_COUNT


def test_hours_alone_count_as_the_default_budget():
    assert chosen(budget={"hours": 5.0}) == chosen(budget={"candidates": 200})


def test_what_an_algorithm_can_bear_limits_it_too():
    few = chosen(algorithm={"name": "gp"}, budget={"hours": 1.0})
    most = made(algorithm={"name": "gp"}).make_algorithm().most_candidates
    assert most is not None
    assert few == chosen(algorithm={"name": "gp"}, budget={"candidates": most})


def test_a_zoo_that_grows_leaves_the_list_as_it_is(monkeypatch):
    before = chosen()
    for number in range(20):
        monkeypatch.setattr(
            SOLVERS, "_own", {**SOLVERS.own, f"other_{number}": SOLVERS["taylor_4m"]}
        )
    assert chosen() == before


def test_a_ranked_name_counts_once_its_solver_and_grid_are_there(monkeypatch):
    ranking = (Ranked("brand_new-logsnr"), Ranked("ddim-flow"), Ranked("taylor_2m-karras", 3, 3))
    monkeypatch.setattr(strongest, "_FEW", ranking)
    few = {"candidates": 30}
    assert chosen(budget=few)[4] == "taylor_2m-karras@3"
    assert "taylor_2m-karras@4" not in chosen(budget=few)
    monkeypatch.setattr(SOLVERS, "_own", {**SOLVERS.own, "brand_new": SOLVERS["taylor_3m"]})
    assert chosen(budget=few)[4:] == ["brand_new-logsnr@3", "brand_new-logsnr@4"]


@pytest.mark.parametrize(
    ("family", "schedule"), [("vp", "cosine"), ("edm", "edm"), ("flow", "rectified")]
)
def test_every_family_of_models_has_a_full_list(family, schedule):
    kind = {"family": family, "schedule": schedule, "prediction": "data"}
    problem = made(model={"name": "mixture", "dimension": 2, **kind}, budget={"candidates": 1000})
    assert problem.denoiser.schedule.family == family
    names = default_baselines(problem).names
    for count in COUNTS:
        assert sum(name.endswith(f"@{count}") for name in names) >= 1 + LEAST_PER_COUNT


def test_only_what_the_space_can_express_but_the_own_scheduler_always():
    problem = made(space={"timesteps": {"steps": [4, 5]}})
    problem.denoiser.own_scheduler = "UniPCMultistepScheduler"
    given = make_baselines(problem, {})
    assert [(one.name, one.foreign) for one in given[:3]] == [
        ("unipc@4", True),
        ("unipc@5", True),
        ("ddim@4", False),  # where the axes of the hypervolume begin
    ]
    assert not any(one.foreign for one in given[2:])
    names = [one.name for one in given[2:]]
    assert all(name.startswith("ddim") for name in names)
    assert sum(name.endswith("@5") for name in names) == LEAST_PER_COUNT


def test_a_scheduler_that_draws_noise_gives_way_where_an_objective_has_no_value_for_it():
    problem = made(objectives=["teacher_mse", "nfe"])
    problem.denoiser.own_scheduler = "DDPMScheduler"
    assert default_baselines(problem).names[:3] == ("ddim@2", "ddim@3", "ddim@4")


def test_limits_of_the_search_leave_baselines_out():
    problem = made(constraints={"nfe": {"max": 3}})
    assert all(one.plan.nfe <= 3 for one in make_baselines(problem, {}))


# -- what is said of it --------------------------------------------------------------------------


def test_a_dry_run_says_where_the_own_scheduler_alone_is_beyond_the_share():
    problem = made(budget={"candidates": 8})
    settled, beyond = settle_baselines(problem)
    assert beyond is not None
    assert beyond.startswith(
        "baselines: the model's own scheduler (ddim) at 2 to 4 steps takes 3 of 8 candidates"
    )
    assert beyond in advice(settled, beyond)
    found = dry_run(problem.experiment)
    assert found["advice"] == beyond
    assert found["default_baselines"]
    assert found["baselines"]["count"] == 3
    # Of each of three costs the front, the next two and a baseline, were there candidates enough.
    assert found["validated"] == 8
    assert "by default: the model's own scheduler" in dry_run_text(found)
    assert "8 candidates, then at most 8 validated" in dry_run_text(found)


def test_a_dry_run_of_a_larger_budget_has_nothing_to_say(shared):
    assert settle_baselines(shared)[1] is None
    found = dry_run(shared.experiment)
    assert found["advice"] is None
    assert found["baselines"]["count"] == 12


# -- all of them ---------------------------------------------------------------------------------


def test_all_is_every_solver_on_every_grid_that_the_space_can_express(known):
    set_zoo({**known, "noisy": replace(known["ddim"], steps=lambda n: [{"eta": 1.0}] * n)})
    space = {"timesteps": {"steps": [3, 3]}, "solver": {}}
    every = make_baselines(made(space=space, baselines="all"), {})
    assert len(every) > 15
    assert {one.name.partition("-")[0].partition("@")[0] for one in every} == known.keys()
    assert not any(one.foreign for one in every)
    more = made(space=space, baselines=["all", "noisy", "ddim@9"])
    added = {one.name: one.foreign for one in make_baselines(more, {})}
    assert added.keys() - {one.name for one in every} == {"ddim@9", "noisy@3"}
    assert added["ddim@9"]
    assert added["noisy@3"]


def test_another_word_than_all_is_refused():
    with pytest.raises(UserError, match=r"baselines: give a list, such as \[ddim, dpmpp_2m\], or"):
        made(baselines="ddim")


# -- what a study keeps ----------------------------------------------------------------------------


def asks(directory: Path) -> list[dict]:
    return [record for record in read_records(directory) if record["type"] == "ask"]


def cut(whole: Path, part: Path, keep: int, **header: Any) -> Path:
    """The first so many events of a study as another one, its experiment changed."""
    events = list(read_journal(whole))
    first = events[0]
    assert isinstance(first, Header)
    first = first.model_copy(update={"experiment": {**first.experiment, **header}})
    assert first.baselines is None
    with Journal.create(part, first) as journal:
        for event in events[1:keep]:
            if not isinstance(event, Ended):
                journal.append(event)
    return part


def test_a_study_keeps_its_list_whatever_the_budget_is_later(tmp_path, tools, fake_workers):
    few = {"budget": {"candidates": 30}, "baselines": None}
    run_study(tools.experiment(**few), tmp_path / "a", resume=False, progress=Progress())
    names = Study.read(tmp_path / "a").header.baselines
    given = [ask["name"] for ask in asks(tmp_path / "a") if ask["kind"] == "baseline"]
    assert names == given
    assert len(given) == 6
    more = tools.experiment(budget={"candidates": 60}, baselines=None)
    assert len(default_baselines(Problem.of(more)).names) > 6
    run_study(more, tmp_path / "a", resume=True, progress=Progress())
    assert [ask["name"] for ask in asks(tmp_path / "a") if ask["kind"] == "baseline"] == given
    assert len(asks(tmp_path / "a")) == 60
    with pytest.raises(UserError, match="--resume with another 'baselines'"):
        run_study(tools.experiment(), tmp_path / "a", resume=True, progress=Progress())


OLD = {"space": {"timesteps": {"steps": [3, 3]}, "solver": {}}}


@pytest.fixture
def old(tmp_path, tools, known, fake_workers) -> Path:
    """A study of all baselines, as releases without a default list began it."""
    experiment = tools.experiment(**OLD, baselines="all", budget={"candidates": 40})
    run_study(experiment, tmp_path / "whole", resume=False, progress=Progress())
    return tmp_path / "whole"


@pytest.fixture
def grown_zoo(old, known) -> None:
    """A later release than the old study's, which knows one more solver, the first of all."""
    set_zoo({"new": replace(known["dpmpp_2m"], grid="logsnr"), **known})


def ask_lines(directory: Path) -> list[int]:
    return [i for i, record in enumerate(read_records(directory)) if record["type"] == "ask"]


def gone_on(old: Path, part: Path, keep: int, tools: Any) -> list[dict]:
    """What a study asks for that is cut after so many asks and had no list of baselines."""
    cut(old, part, ask_lines(old)[keep] + 1, baselines=None)
    experiment = tools.experiment(**OLD, baselines=None, budget={"candidates": 40})
    run_study(experiment, part, resume=True, progress=Progress())
    return asks(part)


def test_a_study_that_recorded_no_list_goes_on_with_all_there_were(old, tmp_path, tools):
    expected = asks(old)
    count = sum(ask["kind"] == "baseline" for ask in expected)
    assert 15 < count < 35
    for keep in (7, count + 2):
        assert gone_on(old, tmp_path / f"cut{keep}", keep, tools) == expected


def test_it_does_so_too_once_there_are_more(old, tmp_path, tools, grown_zoo):
    count = sum(ask["kind"] == "baseline" for ask in asks(old))
    assert gone_on(old, tmp_path / "cut", count + 2, tools) == asks(old)


def test_a_study_among_its_baselines_has_those_first_that_it_began_with(old, tmp_path, grown_zoo):
    study = Study.read(cut(old, tmp_path / "part", ask_lines(old)[7] + 1, baselines=None))
    problem = continued(Problem.of(study.experiment), study)
    names = [one.name for one in make_baselines(problem, {})]
    assert names[:8] == [ask["name"] for ask in asks(old)][:8]
    assert "new-linspace-ms@3" in names[8:] or "new@3" in names[8:]


def test_a_journal_names_no_file_that_would_be_read(shared):
    header = make_header(shared, "a")
    assert header.baselines == list(default_baselines(shared).names)
    names = ["ddim@3", "ddim+mask:/etc/hostname@3"]
    study = Study.of([header.model_copy(update={"baselines": names})])
    assert continued(shared, study).usual == ("ddim@3",)
