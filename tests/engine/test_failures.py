"""What the machinery cannot do says nothing of a candidate: it is tried again, counted and said."""

import zlib

import pytest

from autosearch.cli.status import read_status, status_text
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study, validate_study
from autosearch.engine.workers.base import Outcome
from autosearch.errors import MeasurementFailed, Unmeasured
from autosearch.objectives import Fid, find
from autosearch.study.events import Evaluated, Validated
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.journal import Journal, read_journal
from autosearch.study.missing import missing
from autosearch.study.progress import Progress, snapshot, unfinished
from autosearch.study.study import Study

SMALL = {"budget": {"candidates": 20}}
DIED = Outcome(0, reason="worker died: killed (4 times)", failure="worker")
# Streams of the search and of validation.
SEARCH, VALIDATION = 1, 2


def some(task) -> bool:
    """A fifth of all plans, the same ones each time."""
    return zlib.crc32(task.plan.identity.encode()) % 5 == 0


def failing(fake, stream, *, when=some, outcome=DIED):
    """Let the workers fail at some plans; gives a switch that mends them."""
    evaluate, broken = type(fake).evaluate, [True]

    def fails(task):
        if broken and task.stream == stream and when(task):
            return Outcome(task.id, reason=outcome.reason, failure=outcome.failure)
        return evaluate(fake, task)

    fake.evaluate = fails
    return broken.clear


def run(tools, out, *, resume=False, **keys):
    return run_study(tools.experiment(**{**SMALL, **keys}), out, resume=resume, progress=Progress())


# -- candidates --------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["fixed", "arrival"])
def test_candidates_that_failed_are_counted_apart_and_tried_again(
    tmp_path, tools, fake_workers, order
):
    mend = failing(fake_workers, SEARCH)
    study = run(tools, tmp_path / "a", order=order)
    failed = [c.id for c in study.candidates.values() if c.failed]
    assert failed
    cost = Front.of(study).to_dict()["cost"]
    assert (cost["failed"], cost["infeasible"]) == (len(failed), 0)
    assert snapshot(study, 1.0).failed == len(failed)
    assert missing(study) == (f"{len(failed)} of 20 candidates were not evaluated ({DIED.reason})",)
    assert f"missing: {missing(study)[0]}" in front_text(Front.of(study)).replace("\n  ", " ")
    mend()
    fake_workers.evaluated.clear()
    again = run(tools, tmp_path / "a", order=order, resume=True)
    assert not missing(again)
    assert all(c.status == "ok" for c in again.candidates.values())
    searched = [key for key in fake_workers.evaluated if f" {SEARCH} " in key]
    assert len(searched) == len(failed)
    # Read again it is the same study, and nothing is left to do.
    whole = Study.read(tmp_path / "a")
    assert tools.comparable(whole) == tools.comparable(again)
    fake_workers.evaluated.clear()
    assert tools.comparable(run(tools, tmp_path / "a", order=order, resume=True)) == (
        tools.comparable(again)
    )
    assert not fake_workers.evaluated


def test_what_fails_again_is_told_again_and_the_budget_stays(tmp_path, tools, fake_workers):
    failing(fake_workers, SEARCH)
    first = run(tools, tmp_path / "a")
    again = run(tools, tmp_path / "a", resume=True)
    assert missing(again) == missing(first)
    assert again.planned == first.planned
    assert again.nominal == first.nominal


def test_a_search_that_goes_on_knows_what_the_second_try_gave(tmp_path, tools, fake_workers):
    whole = run(tools, tmp_path / "whole", budget={"candidates": 40})
    # Of the last candidates, which nobody was told of yet.
    late = {c.identity for c in whole.candidates.values() if 26 <= c.id < 30}
    mend = failing(fake_workers, SEARCH, when=lambda task: task.plan.identity in late)
    run(tools, tmp_path / "a", budget={"candidates": 30})
    mend()
    again = run(tools, tmp_path / "a", budget={"candidates": 40}, resume=True)
    assert tools.comparable(again) == tools.comparable(whole)
    assert [c.identity for c in again.candidates.values()] == [
        c.identity for c in whole.candidates.values()
    ]


@pytest.mark.soak
def test_racing_candidates_are_tried_again(tmp_path, tools, fake_workers):
    keys = {"samples": 300, "rungs": [100, 300], "validation": {"samples": 300}}
    mend = failing(fake_workers, SEARCH)
    assert missing(run(tools, tmp_path / "a", **keys))
    mend()
    again = run(tools, tmp_path / "a", resume=True, **keys)
    assert not missing(again)
    assert all(c.status == "ok" for c in again.candidates.values())


def test_a_search_at_which_everything_fails_ends_soon(tmp_path, tools, fake_workers):
    mend = failing(fake_workers, SEARCH, when=lambda task: True)
    with pytest.raises(Unmeasured, match=r"the first 3 evaluations failed.*the last: worker died"):
        run(tools, tmp_path / "a")
    study = Study.read(tmp_path / "a")
    assert "the first 3 evaluations failed" in study.error
    assert study.phase is None
    status = read_status(tmp_path / "a")
    assert status.state == "failed"
    assert f"the last run ended by an error: {study.error}" in status_text(status)
    mend()
    assert not missing(run(tools, tmp_path / "a", resume=True))
    assert Study.read(tmp_path / "a").error is None


@pytest.mark.soak
def test_older_journals_tell_a_failure_by_its_reason(tmp_path, tools, fake_workers):
    mend = failing(fake_workers, SEARCH)
    run(tools, tmp_path / "new")
    mend()
    header, *rest = read_journal(tmp_path / "new")
    with Journal.create(tmp_path / "old", header) as journal:
        for event in rest:
            old = {"failed": False, "elapsed": 0.0} if isinstance(event, Evaluated) else {}
            journal.append(event.model_copy(update=old))
    assert missing(Study.read(tmp_path / "old")) == missing(Study.read(tmp_path / "new"))
    assert not missing(run(tools, tmp_path / "old", resume=True))


# -- validation, timings, fits -----------------------------------------------------------------


def test_validations_that_were_lost_are_tried_again_alone(tmp_path, tools, fake_workers):
    whole = run(tools, tmp_path / "whole")
    mend = failing(fake_workers, VALIDATION)
    study = run(tools, tmp_path / "a")
    lost = study.lost_validations((0, 100))
    assert 0 < len(lost) < len(study.validations[0, 100])
    assert f"{len(lost)} of " in missing(study)[0]
    assert "validations were not done (worker died: killed (4 times))" in missing(study)[0]
    front = Front.of(study)
    # Of the others the validated front is shown, and what was lost has not fallen off it.
    assert front.validated_on == (0, 100)
    assert set(front.lost.values()) == {DIED.reason}
    assert not {point.id for point in front.overtaken} & set(front.lost)
    assert "not validated: " in front_text(front)
    mend()
    fake_workers.evaluated.clear()
    again = validate_study(tmp_path / "a", samples=None, seed=None, progress=Progress())
    assert len(fake_workers.evaluated) == len(lost)
    assert not missing(again)
    assert tools.comparable(again) == tools.comparable(whole)


def test_when_all_validations_are_lost_nothing_falls_off(tmp_path, tools, fake_workers):
    mend = failing(fake_workers, VALIDATION, when=lambda task: True)
    study = run(tools, tmp_path / "a")
    front = Front.of(study)
    assert front.validated_on is None
    assert front.front
    assert unfinished(study) is None  # all was tried
    assert missing(study)
    mend()
    again = run(tools, tmp_path / "a", resume=True)
    assert Front.of(again).validated_on == (0, 100)
    assert not missing(again)


def test_other_noise_that_is_lost_is_missing_there_only(tmp_path, tools, fake_workers):
    run(tools, tmp_path / "a")
    failing(fake_workers, VALIDATION, when=lambda task: task.seed == 7)
    study = validate_study(tmp_path / "a", samples=None, seed=7, progress=Progress())
    assert missing(study, (7, 100), search=False)
    assert not missing(study)
    assert Front.of(study).validated_on == (0, 100)


def test_what_a_candidate_does_not_allow_has_its_reason_and_is_not_tried_again(
    tmp_path, tools, fake_workers
):
    failing(fake_workers, VALIDATION, outcome=Outcome(0, reason="non-finite samples"))
    study = run(tools, tmp_path / "a")
    assert set(study.unfit[0, 100].values()) == {"non-finite samples"}
    assert not missing(study)
    fake_workers.evaluated.clear()
    validate_study(tmp_path / "a", samples=None, seed=None, progress=Progress())
    assert not fake_workers.evaluated


def test_validations_without_a_reason_of_older_journals_are_tried_again(
    tmp_path, tools, fake_workers
):
    run(tools, tmp_path / "new")
    header, *rest = read_journal(tmp_path / "new")
    with Journal.create(tmp_path / "old", header) as journal:
        for event in rest:
            old = {"values": {}} if isinstance(event, Validated) else {}
            journal.append(event.model_copy(update=old))
    study = validate_study(tmp_path / "old", samples=None, seed=None, progress=Progress())
    assert tools.comparable(study) == tools.comparable(Study.read(tmp_path / "new"))


# -- code of others ----------------------------------------------------------------------------


class Moody(Fid):
    """Raises at some candidates, always at the same ones."""

    broken = True

    def estimate(self, rows, reference, blocks):
        if Moody.broken and zlib.crc32(rows["features"].tobytes()) % 4 == 0:
            raise ZeroDivisionError("oh")
        return super().estimate(rows, reference, blocks)


def test_an_objective_that_raises_ends_no_search(
    tmp_path, tools, fake_workers, monkeypatch, caplog
):
    monkeypatch.setattr("autosearch.engine.measure.find", lambda name, where: _kind(name))
    monkeypatch.setattr(Moody, "broken", True)
    study = run(tools, tmp_path / "a")
    failed = [c for c in study.candidates.values() if c.failed]
    assert 0 < len(failed) < 20
    assert {c.reason.partition(" (")[0] for c in failed} == {
        "objective 'fid': ZeroDivisionError: oh"
    }
    assert any(r.getMessage().endswith("; asked again") for r in caplog.records)
    monkeypatch.setattr(Moody, "broken", False)
    assert not missing(run(tools, tmp_path / "a", resume=True))


def _kind(name):
    return Moody if name == "fid" else find(name, where="test")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_a_plan_declares_that_is_no_number_is_infeasible_and_named(
    tmp_path, tools, fake_workers, monkeypatch, value
):
    nfe = find("nfe", where="test")
    declared = nfe.declared

    def odd(self, plan):
        return value if zlib.crc32(plan.identity.encode()) % 3 == 0 else declared(self, plan)

    monkeypatch.setattr(nfe, "declared", odd)
    study = run(tools, tmp_path / "a")
    reasons = Front.of(study).to_dict()["reasons"]
    assert set(reasons) == {"nfe is not finite"}
    assert 0 < reasons["nfe is not finite"] < 20


def test_rows_that_are_no_numbers_are_infeasible_and_named(tmp_path, tools, fake_workers):
    evaluate = type(fake_workers).evaluate

    def odd(task):
        outcome = evaluate(fake_workers, task)
        if task.stream == SEARCH and some(task):
            outcome.rows["features"][3, 1] = float("nan")
        return outcome

    fake_workers.evaluate = odd
    study = run(tools, tmp_path / "a")
    (reason,) = Front.of(study).reasons
    assert reason == "fid: features of 1 of 100 samples are not finite"
    assert not missing(study)


def test_a_failure_told_by_a_loop_of_ones_own_is_kept_apart(tools):
    problem = Problem.of(tools.experiment(**SMALL))
    prepared = Prepared(problem, make_baselines(problem, {}), events=(make_header(problem, "a"),))
    engine = Engine(prepared)
    asked = engine.ask()
    engine.tell(asked.id, MeasurementFailed("the device is lost"))
    candidate = engine.study.candidates[asked.id]
    assert (candidate.status, candidate.failed) == ("infeasible", True)
    # Who goes on with the history says whether it is tried again.
    for retry in (False, True):
        again = Engine(prepared, history=engine.study, retry=retry)
        assert (again.ask().id == asked.id) is retry
