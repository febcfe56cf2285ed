"""The search driven from outside: the same candidates and measurements as the engine's."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.engine.problem import Problem
from autosearch.integrations.ask_tell import AskTell
from autosearch.integrations.candidate_evaluator import CandidateEvaluator


def again(search: AskTell) -> AskTell:
    """Another process that has what this one wrote."""
    return AskTell(search.problem, json.loads(json.dumps(search.written)))


def measured(search: AskTell, evaluator: CandidateEvaluator, number: int) -> dict[str, Any]:
    """What somebody who has nothing but the genome and its noise makes of a candidate."""
    genome = search.study.candidates[number].genome
    experiment = search.problem.experiment
    blocks = experiment.samples // search.problem.seed_block
    first = 0 if experiment.noise == "common" else number * blocks
    return evaluator.measure(genome, first_block=first)


def drive(search: AskTell, evaluator: CandidateEvaluator, rng: np.random.Generator) -> None:
    """Up to three at a time, told in any order, until the end."""
    out: list[int] = []
    while True:
        task = search.ask() if len(out) < 3 else None
        if task is not None:
            out.append(task.id)
        elif out:
            number = out.pop(int(rng.integers(len(out))))
            search.tell(number, measured(search, evaluator, number))
        else:
            assert search.finished
            return


def strip(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in records if record["type"] == "ask"]


@pytest.mark.parametrize("noise", ["common", "fresh"])
def test_candidates_and_values_are_the_engines_in_any_order_of_results(
    experiment, engine, noise: str
) -> None:
    config = experiment(constraints={"nfe": {"max": 4}}, noise=noise)
    whole = engine(config)
    evaluator = CandidateEvaluator(config)
    search = AskTell.start(evaluator.problem, name="t")
    drive(search, evaluator, np.random.default_rng(0))
    assert strip(search.written) == whole.asks
    for number, candidate in whole.study.candidates.items():
        other = search.study.candidates[number]
        assert (other.status, other.values) == (candidate.status, candidate.values)
        assert other.executed == candidate.executed
    assert search.study.stops == ["budget"]
    identities = [c.identity for c in search.study.candidates.values()]
    assert len(set(identities)) == len(identities) == 20
    assert all(c.values["nfe"].value <= 4 for c in search.study.feasible)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_restart_at_any_point_changes_nothing(experiment, data: st.DataObject) -> None:
    config = experiment(budget={"candidates": 14})
    evaluator = CandidateEvaluator(config)
    whole = AskTell.start(evaluator.problem, name="t")
    drive(whole, evaluator, np.random.default_rng(0))

    search = AskTell.start(evaluator.problem, name="t")
    out: list[int] = []
    for _ in range(data.draw(st.integers(0, 18), label="calls before the end")):
        task = search.ask() if data.draw(st.booleans(), label="ask") else None
        if task is not None:
            out.append(task.id)
        elif out:
            number = out.pop(0)
            search.tell(number, measured(search, evaluator, number))
    resumed = again(search)
    assert resumed.running == 0
    claimed = [number for number in out if data.draw(st.booleans(), label="still running")]
    for number in claimed:
        resumed.claim(number)
    assert resumed.running == len(claimed)
    for number in claimed:
        resumed.tell(number, measured(resumed, evaluator, number))
    drive(resumed, evaluator, np.random.default_rng(1))
    assert strip(resumed.written) == strip(whole.written)
    values = {c.id: c.values for c in whole.study.candidates.values()}
    assert {c.id: c.values for c in resumed.study.candidates.values()} == values


def test_fixed_order_makes_the_next_wait_for_the_lag(experiment) -> None:
    evaluator = CandidateEvaluator(experiment(baselines=["ddim@3"], lag=3))
    search = AskTell.start(evaluator.problem, name="t")
    asked = [search.ask() for _ in range(4)]
    assert [task.id for task in asked if task is not None] == [0, 1, 2]
    assert asked[3] is None
    assert not search.finished
    search.tell(0, measured(search, evaluator, 0))
    following = search.ask()
    assert following is not None
    assert following.id == 3


def test_arrival_order_never_waits(experiment) -> None:
    evaluator = CandidateEvaluator(experiment(baselines=["ddim@3"], lag=3, order="arrival"))
    search = AskTell.start(evaluator.problem, name="t")
    assert [task.id for task in (search.ask() for _ in range(6)) if task is not None] == list(
        range(6)
    )
    for number in (4, 1):
        search.tell(number, measured(search, evaluator, number))
    resumed, live = again(search), search.ask()
    for number in (0, 2, 3, 5):
        resumed.claim(number)
    following = resumed.ask()
    assert live is not None
    assert following is not None
    assert (following.id, following.plan.identity) == (live.id, live.plan.identity)


def test_the_first_result_counts_and_strange_ones_are_left_aside(experiment) -> None:
    evaluator = CandidateEvaluator(experiment())
    search = AskTell.start(evaluator.problem, name="t")
    assert search.ask() is not None
    result = measured(search, evaluator, 0)
    search.tell(7, result)
    search.tell(0, result)
    search.tell(0, {**result, "status": "infeasible"})
    assert [r["id"] for r in search.written if r["type"] == "result"] == [0]
    assert search.study.candidates[0].status == "ok"


def test_a_space_without_new_plans_ends_the_search(experiment) -> None:
    config = experiment(baselines=["ddim@2"], constraints={"nfe": {"min": 50}})
    search = AskTell.start(Problem(config), name="t")
    assert search.ask() is None
    assert search.finished
    assert search.study.stops == ["space exhausted"]


def test_a_measured_constraint_makes_infeasible_with_its_values(experiment) -> None:
    evaluator = CandidateEvaluator(experiment(constraints={"fid": {"max": 1e-9}}))
    result = evaluator.measure(evaluator.problem.baselines[0].genome)
    assert result["status"] == "infeasible"
    assert result["reason"].startswith("fid ")
    assert result["values"]["fid"]["value"] > 1e-9


def test_the_teacher_is_the_engines(experiment, engine) -> None:
    config = experiment(objectives=["teacher_mse", "nfe"], budget={"candidates": 6})
    whole = engine(config)
    evaluator = CandidateEvaluator(config)
    search = AskTell.start(evaluator.problem, name="t")
    drive(search, evaluator, np.random.default_rng(0))
    values = {c.id: c.values for c in search.study.candidates.values()}
    assert values == {c.id: c.values for c in whole.study.candidates.values()}


def test_the_model_is_held_once(experiment) -> None:
    evaluator = CandidateEvaluator(experiment())
    evaluator.measure(evaluator.problem.baselines[0].genome)
    held = evaluator._runner.prepare()
    assert held.model is evaluator.problem.model
