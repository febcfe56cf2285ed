"""The engine driven from outside: the same candidates and measurements as a run's."""

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header, prepare
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive, run_study
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import Infeasible, UserError
from autosearch.experiment import Experiment
from autosearch.integrations.candidate_evaluator import CandidateEvaluator
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate
from autosearch.study.events import Asked, Evaluated, Event, ReferenceMeasured, parse_event
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Estimates, Study

Make = Callable[..., Experiment]
Verdicts = dict[int, tuple[str, Estimates]]


@pytest.fixture(scope="session")
def experiment(tools) -> Make:
    keys: Mapping[str, Any] = {
        "baselines": ["ddim", "dpmpp_2m"],
        "algorithm": {"name": "nsga2", "population": 6},
        "budget": {"candidates": 20},
        # What is executed would depend on who evaluates.
        "workers": {"executor": "inprocess", "call_cache": "off"},
        "lag": 4,
    }
    return lambda **changes: tools.experiment(**{**keys, **changes})


@pytest.fixture
def whole(tmp_path: Path) -> Callable[[Experiment], tuple[Event, ...]]:
    """What the command writes of an experiment."""

    def run(given: Experiment) -> tuple[Event, ...]:
        run_study(given, tmp_path / "study", resume=False, progress=Progress())
        return read_journal(tmp_path / "study")

    return run


class Search:
    """An engine and all its events; those of an earlier one are its history."""

    def __init__(self, problem: Problem, history: tuple[Event, ...] = ()) -> None:
        self.problem = problem
        self.events = list(history) or [make_header(problem, "t")]
        prepared = Prepared(problem, make_baselines(problem, {}))
        self.engine = Engine(prepared, history=self.events, record=self.events.append)

    @property
    def asks(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, Asked)]

    def again(self) -> "Search":
        """Another process that has what this one wrote."""
        lines = [json.dumps(event.to_record()) for event in self.events]
        return Search(self.problem, tuple(parse_event(json.loads(line)) for line in lines))

    def asked(self, count: int) -> list[int]:
        """The numbers of what so many calls give."""
        found = [self.engine.ask() for _ in range(count)]
        return [one.id for one in found if one is not None]

    def measure(self, evaluator: CandidateEvaluator, number: int) -> None:
        """Tell what somebody who has nothing but the genome and its noise makes of it."""
        experiment, problem = self.problem.experiment, self.problem
        blocks = len(problem.blocks(experiment.samples))
        first = 0 if experiment.noise == "common" else number * blocks
        genome = self.engine.study.candidates[number].genome
        self.engine.tell(number, evaluator.measure(genome, first_block=first))

    def drive(self, evaluator: CandidateEvaluator, rng: np.random.Generator) -> None:
        """Up to three at a time, told in any order, until the end."""
        out: list[int] = []
        while self.engine.ended is None:
            asked = self.engine.ask() if len(out) < 3 else None
            if asked is not None:
                out.append(asked.id)
            elif out:
                self.measure(evaluator, out.pop(int(rng.integers(len(out)))))
            else:  # the ask that found nothing more ended it
                assert self.engine.ended is not None
        assert not out


def values(study: Study) -> Verdicts:
    return {c.id: (c.status, c.values) for c in study.candidates.values()}


@pytest.mark.parametrize("noise", ["common", "fresh"])
def test_candidates_and_values_are_the_run_s_in_any_order_of_results(
    experiment: Make, whole, noise: str
) -> None:
    config = experiment(constraints={"nfe": {"max": 4}}, noise=noise)
    run = whole(config)
    evaluator = CandidateEvaluator(config)
    search = Search(evaluator.problem)
    search.drive(evaluator, np.random.default_rng(0))
    assert search.asks == [event for event in run if isinstance(event, Asked)]
    study, other = search.engine.study, Study.of(run)
    assert values(study) == values(other)
    executed = {c.id: c.executed for c in study.candidates.values()}
    assert executed == {c.id: c.executed for c in other.candidates.values()}
    assert study.stops == ["budget"]
    assert len({c.identity for c in study.candidates.values()}) == len(study.candidates) == 20
    assert all(c.values["nfe"].value <= 4 for c in study.feasible)


def test_a_loop_without_a_journal_finds_what_the_command_finds(experiment: Make, whole) -> None:
    config = experiment()
    run = Study.of(whole(config))
    problem = Problem.of(config)
    with InProcessExecutor(functools.partial(ModelEvaluator, problem.spec)) as executor:
        prepared = prepare(problem, executor)
        engine = Engine(prepared)
        drive(engine, executor)
    assert [event for event in prepared.events if isinstance(event, ReferenceMeasured)] == [
        engine.study.reference
    ]
    assert engine.study.reference == run.reference
    assert engine.study.scale == run.scale
    assert values(engine.study) == values(run)


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_a_restart_at_any_point_changes_nothing(experiment: Make, data: st.DataObject) -> None:
    config = experiment(budget={"candidates": 14})
    evaluator = CandidateEvaluator(config)
    undisturbed = Search(evaluator.problem)
    undisturbed.drive(evaluator, np.random.default_rng(0))

    search = Search(evaluator.problem)
    out: list[int] = []
    for _ in range(data.draw(st.integers(0, 18), label="calls before the end")):
        asked = search.engine.ask() if data.draw(st.booleans(), label="ask") else None
        if asked is not None:
            out.append(asked.id)
        elif out:
            search.measure(evaluator, out.pop(0))
    resumed = search.again()
    assert resumed.engine.out == 0
    claimed = [number for number in out if data.draw(st.booleans(), label="still running")]
    for number in claimed:
        resumed.engine.claim(number)
    assert resumed.engine.out == len(claimed)
    for number in claimed:
        resumed.measure(evaluator, number)
    resumed.drive(evaluator, np.random.default_rng(1))
    assert resumed.asks == undisturbed.asks
    assert values(resumed.engine.study) == values(undisturbed.engine.study)


def test_fixed_order_makes_the_next_wait_for_the_lag(experiment: Make) -> None:
    evaluator = CandidateEvaluator(experiment(baselines=["ddim@3"], lag=3))
    search = Search(evaluator.problem)
    assert search.asked(4) == [0, 1, 2]
    assert not search.engine.done_asking
    search.measure(evaluator, 0)
    assert search.asked(1) == [3]


def test_arrival_order_never_waits(experiment: Make) -> None:
    evaluator = CandidateEvaluator(experiment(baselines=["ddim@3"], lag=3, order="arrival"))
    search = Search(evaluator.problem)
    assert search.asked(6) == list(range(6))
    for number in (4, 1):
        search.measure(evaluator, number)
    resumed, live = search.again(), search.engine.ask()
    for number in (0, 2, 3, 5):
        resumed.engine.claim(number)
    following = resumed.engine.ask()
    assert live is not None
    assert following is not None
    assert (following.id, following.plan.identity) == (live.id, live.plan.identity)


def test_the_first_result_counts_and_one_of_nobody_is_refused(experiment: Make) -> None:
    evaluator = CandidateEvaluator(experiment())
    search = Search(evaluator.problem)
    asked = search.engine.ask()
    assert asked is not None
    result = evaluator.measure(asked.candidate.genome)
    with pytest.raises(UserError, match="candidate 7 was not asked for"):
        search.engine.tell(7, result)
    search.engine.tell(0, result)
    search.engine.tell(0, result.model_copy(update={"status": "infeasible"}))
    assert [event.id for event in search.events if isinstance(event, Evaluated)] == [0]
    assert search.engine.study.candidates[0].status == "ok"


def test_a_space_without_new_plans_ends_the_search(experiment: Make) -> None:
    config = experiment(baselines=["ddim@2"], constraints={"nfe": {"min": 50}})
    search = Search(Problem.of(config))
    assert search.asked(1) == []
    assert search.engine.done_asking
    assert search.engine.ended == "space exhausted"
    assert search.engine.study.stops == ["space exhausted"]


def test_one_that_is_stopped_ends_with_what_is_out(experiment: Make) -> None:
    search = Search(Problem.of(experiment()))
    assert search.asked(2) == [0, 1]
    search.engine.stop("enough")
    assert search.asked(1) == []
    assert search.engine.done_asking
    search.engine.tell(1, {"fid": 1.0})
    assert search.engine.ended is None
    search.engine.tell(0, {"fid": 1.0})
    assert search.engine.ended == "enough"
    assert search.engine.study.stops == ["enough"]


def test_values_of_one_s_own_are_judged_as_measured_ones(experiment: Make) -> None:
    search = Search(Problem.of(experiment(constraints={"fid": {"max": 0.3}})))
    while (asked := search.engine.ask()) is not None:
        search.engine.tell(asked.id, {"fid": 1 / asked.plan.nfe})
    found = search.engine.study.candidates.values()
    assert search.engine.ended == "budget"
    assert {candidate.status for candidate in found} == {"ok", "infeasible"}
    for candidate in found:
        nfe = search.problem.space.plan(candidate.genome).nfe
        assert candidate.values == {"fid": Estimate(1 / nfe), "nfe": Estimate(float(nfe))}
        broken = None if nfe > 3 else f"fid {1 / nfe:g} is above 0.3"
        assert candidate.reason == broken


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "values of none where fid is due"),
        ({"fid": 1.0, "nfe": 2.0}, "values of fid, nfe where fid is due"),
        ({"fid": math.nan}, "fid: nan is no finite number"),
        ({"fid": -math.inf}, "fid: -inf is no finite number"),
        ({"fid": "0.3"}, "fid: '0.3' is no finite number; tell Infeasible"),
        (0.3, "a result is float; tell values by objective"),
        (None, "a result is NoneType"),
    ],
)
def test_values_that_are_none_are_refused_and_may_be_told_again(
    experiment: Make, told: dict[str, float], message: str
) -> None:
    search = Search(Problem.of(experiment()))
    assert search.asked(1) == [0]
    with pytest.raises(UserError, match=message):
        search.engine.tell(0, told)
    search.engine.tell(0, {"fid": 1.0})
    assert search.engine.study.candidates[0].status == "ok"


def test_what_has_no_values_is_told_with_its_reason(experiment: Make) -> None:
    search = Search(Problem.of(experiment()))
    assert search.asked(1) == [0]
    search.engine.tell(0, Infeasible("the cluster said no"))
    candidate = search.engine.study.candidates[0]
    assert (candidate.status, candidate.reason) == ("infeasible", "the cluster said no")


def test_a_history_without_the_reference_gets_it(experiment: Make) -> None:
    problem = Problem.of(experiment())
    with InProcessExecutor(lambda: ModelEvaluator(problem.spec)) as executor:
        prepared = prepare(problem, executor)
    recorded: list[Event] = []
    Engine(prepared, record=recorded.append)
    assert [prepared.header, *recorded] == list(prepared.events)
    engine = Engine(prepared, history=[prepared.header], record=recorded.append)
    assert engine.study.reference == recorded[-1] == prepared.reference


def test_a_measured_constraint_makes_infeasible_with_its_values(experiment: Make) -> None:
    evaluator = CandidateEvaluator(experiment(constraints={"fid": {"max": 1e-9}}))
    result = evaluator.measure(make_baselines(evaluator.problem, {})[0].genome)
    assert result.status == "infeasible"
    assert result.reason is not None
    assert result.reason.startswith("fid ")
    assert result.values["fid"].value > 1e-9


def test_the_teacher_is_the_run_s(experiment: Make, whole) -> None:
    config = experiment(objectives=["teacher_mse", "nfe"], budget={"candidates": 6})
    run = Study.of(whole(config))
    evaluator = CandidateEvaluator(config)
    search = Search(evaluator.problem)
    search.drive(evaluator, np.random.default_rng(0))
    assert values(search.engine.study) == values(run)


def test_the_model_is_held_once(experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[ModelSpec] = []
    load = ModelSpec.load
    monkeypatch.setattr(ModelSpec, "load", lambda spec: loads.append(spec) or load(spec))
    evaluator = CandidateEvaluator(experiment(objectives=["teacher_mse", "nfe"]))
    evaluator.measure(make_baselines(evaluator.problem, {})[0].genome)
    assert len(loads) == 1


RUNGS = {"rungs": [100, 200, 400], "samples": 400, "budget": {"candidates": 14}}


def raced(experiment: Make, *, twice: bool, wrong: bool) -> Study:
    """A race driven by hand, each outcome told once or twice, or after one that is refused."""
    problem = Problem.of(experiment(**RUNGS))
    with InProcessExecutor(lambda: ModelEvaluator(problem.spec)) as executor:
        engine = Engine(prepare(problem, executor))
        while (asked := engine.ask()) is not None:
            executor.submit(asked.task)
            outcome = executor.wait()[0]
            if wrong:
                short = {name: rows[:3] for name, rows in outcome.rows.items()}
                with pytest.raises(UserError, match=r"for \d+ samples"):
                    engine.tell(asked.id, replace(outcome, rows=short))
            engine.tell(asked.id, outcome)
            if twice:
                engine.tell(asked.id, outcome)
    return engine.study


def test_in_a_race_the_first_outcome_counts_and_a_refused_one_changes_nothing(experiment: Make):
    whole = raced(experiment, twice=False, wrong=False)
    assert any(candidate.rungs for candidate in whole.candidates.values())
    for twice, wrong in ((True, False), (False, True)):
        other = raced(experiment, twice=twice, wrong=wrong)
        assert {c.id: (c.values, c.samples) for c in other.candidates.values()} == {
            c.id: (c.values, c.samples) for c in whole.candidates.values()
        }


def test_a_result_that_could_not_be_recorded_may_be_told_again(experiment: Make) -> None:
    full = [False]

    def record(event: Event) -> None:
        if full[0]:
            raise OSError("no space left")

    problem = Problem.of(experiment())
    engine = Engine(
        Prepared(problem, make_baselines(problem, {})),
        history=[make_header(problem, "t")],
        record=record,
    )
    asked = engine.ask()
    assert asked is not None
    full[0] = True
    with pytest.raises(OSError, match="no space left"):
        engine.tell(asked.id, {"fid": 1.0})
    full[0] = False
    engine.tell(asked.id, {"fid": 1.0})
    assert engine.study.candidates[asked.id].finished
    assert engine.out == 0


@pytest.mark.parametrize("values", [{}, {"zzz": Estimate(1.0)}])
def test_a_judged_result_without_the_objectives_is_refused(experiment: Make, values) -> None:
    search = Search(Problem.of(experiment()))
    assert search.asked(1) == [0]
    fixed = {"samples": 100, "forward_equivalents": 1.0, "seconds": 0.0, "reason": None}
    with pytest.raises(UserError, match="candidate 0: an objective has no value"):
        search.engine.tell(0, Evaluated(id=0, status="ok", values=values, **fixed))
    search.engine.tell(0, {"fid": 1.0})


def test_histories_of_other_searches_are_refused(experiment: Make) -> None:
    search = Search(Problem.of(experiment()))
    assert search.asked(1) == [0]
    for change, message in (
        ({"objectives": ["fid", "macs"]}, "history: a search of fid, nfe, not of fid, macs"),
        ({"baselines": ["dpmpp_2m@4"]}, "history: candidate 0 is not dpmpp_2m@4"),
    ):
        with pytest.raises(UserError, match=message):
            Search(Problem.of(experiment(**change)), search.events)
    events = [
        event.model_copy(update={"identity": "0" * 24}) if isinstance(event, Asked) else event
        for event in search.events
    ]
    with pytest.raises(UserError, match="ddim@2 was another plan when this study began"):
        Search(search.problem, tuple(events))
    with pytest.raises(UserError, match="begins with a header"):
        Engine(Prepared(search.problem, ()), history=[])
