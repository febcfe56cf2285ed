"""A search that finds nothing better than its starts ends, and says so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.random_search import RandomSearch
from autosearch.cli.status import read_status, status_text
from autosearch.engine.patience import Patience
from autosearch.engine.problem import Problem
from autosearch.objectives import Estimate
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.study import UNIMPROVED, Candidate


@dataclass(kw_only=True, eq=False)
class Patient(RandomSearch):
    """Random search that has a share of the budget to find something."""

    give_up: float | None = 0.4


def candidate(number: int, kind: str, fid: float, nfe: float, **more: Any) -> Candidate:
    """With values whose noise is the same for all."""
    noise = np.random.default_rng(0).standard_normal(20)
    values = {"fid": Estimate(fid, tuple((fid + noise).tolist())), "nfe": Estimate(nfe)}
    fields = {"status": "ok", "samples": 100, "values": values, **more}
    return Candidate(number, kind, None, {}, str(number), 1.0, **fields)  # type: ignore[arg-type]


def patience(tools, share: float | None = 0.4, **keys: Any) -> Patience:
    return Patience(Problem.of(tools.experiment(**keys)), share, given=2)


def test_what_is_surely_better_at_its_cost_or_below_is_a_find(tools) -> None:
    for fid, nfe, found in [(0.9, 4, True), (1.1, 4, False), (0.9, 5, True), (0.9, 3, True)]:
        one = patience(tools)
        one.tell(candidate(0, "baseline", 1.0, 4))
        one.tell(candidate(1, "search", fid, nfe))
        # At 3 evaluations there is no start to be better than.
        assert one.found is found


def test_noise_of_its_own_a_race_and_failure_find_nothing(tools) -> None:
    one = patience(tools)
    one.tell(candidate(0, "baseline", 1.0, 4))
    noisy = Estimate(0.9, tuple((0.9 + np.random.default_rng(1).standard_normal(20)).tolist()))
    one.tell(candidate(1, "search", 0.9, 4, values={"fid": noisy, "nfe": Estimate(4.0)}))
    one.tell(candidate(2, "search", 0.1, 4, samples=50))
    one.tell(candidate(3, "search", 0.1, 4, status="infeasible"))
    assert not one.found


def test_it_watches_one_measured_objective_on_common_noise(tools) -> None:
    assert not patience(tools).found
    assert patience(tools, objectives=["fid", "kid", "nfe"]).found
    assert patience(tools, noise="fresh").found


def never_better(tools, monkeypatch) -> None:
    """All that a search proposes is as good as its starts, on the same noise."""
    monkeypatch.setattr(Patience, "found", property(lambda self: False))


@pytest.mark.parametrize("lag", [1, 7])
def test_after_its_share_the_rest_of_the_budget_is_saved(runner, monkeypatch, lag, tools) -> None:
    never_better(tools, monkeypatch)
    found = runner.search(
        algorithm_of=lambda problem: Patient(problem.space, objectives=2),
        budget={"candidates": 55},
        lag=lag,
    )
    assert found.stop == UNIMPROVED
    own = len(found.asks) - found.baselines
    assert own == 20  # two fifths of the fifty that the five starts left
    assert set(found.results) == {ask["id"] for ask in found.asks}


def test_a_budget_that_is_used_up_for_nothing_says_so(runner, monkeypatch, tools) -> None:
    never_better(tools, monkeypatch)
    for share, reason in [(1.0, UNIMPROVED), (None, "budget")]:
        found = runner.search(
            algorithm_of=lambda problem, share=share: Patient(
                problem.space, objectives=2, give_up=share
            ),
            budget={"candidates": 12},
        )
        assert found.stop == reason
        assert len(found.asks) == 12


def test_an_interrupted_search_ends_where_the_whole_one_does(runner, monkeypatch, tools) -> None:
    never_better(tools, monkeypatch)

    def patient(problem: Problem) -> Patient:
        return Patient(problem.space, objectives=2)

    keys = {"algorithm_of": patient, "budget": {"candidates": 55}, "lag": 4}
    whole = runner.search(**keys)
    calls = iter(range(1000))
    runner.search(name="part", stopping=lambda: next(calls) > 12, **keys)
    again = runner.search(name="part", **keys)
    assert [ask["identity"] for ask in again.asks] == [ask["identity"] for ask in whole.asks]
    assert again.stop == UNIMPROVED


def test_front_and_status_say_it_in_words(runner, monkeypatch, tools) -> None:
    never_better(tools, monkeypatch)
    found = runner.search(
        name="said",
        algorithm_of=lambda problem: Patient(problem.space, objectives=2),
        budget={"candidates": 30},
    )
    folder = Path(runner.folder) / "said"
    for text in (front_text(Front.of(found.study)), status_text(read_status(folder))):
        assert "nothing that the search proposed is surely better" in " ".join(text.split())
