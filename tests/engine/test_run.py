"""Whole runs: reference, teacher, scale, validation, progress, signals."""

import os
import signal
import time

import pytest
from support.records import read_records

from autosearch.baselines import baseline
from autosearch.baselines.fine import REFERENCES
from autosearch.diffusion.noise import Stream
from autosearch.engine import check
from autosearch.engine import session as session_module
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study, validate_study
from autosearch.engine.workers.base import Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import UserError
from autosearch.models.spec import ModelSpec
from autosearch.study.front import Front
from autosearch.study.progress import Progress
from autosearch.study.study import Study


class Recorder(Progress):
    """Notes every call."""

    def __init__(self):
        self.calls, self.snapshots = [], []

    def start(self, *args, **options):
        self.calls.append("start")

    def update(self, snapshot):
        self.calls.append("update")
        self.snapshots.append(snapshot)

    def stop(self):
        self.calls.append("stop")


def started(tools, directory, *, progress=None, resume=False, **keys):
    experiment = tools.experiment(**keys)
    return run_study(experiment, directory, resume=resume, progress=progress or Progress())


def of_type(directory, kind):
    return [record for record in read_records(directory) if record["type"] == kind]


# -- the order of things -----------------------------------------------------------------------


def test_a_run_leaves_everything_in_its_journal(tmp_path, tools, fake_workers):
    study = started(tools, tmp_path / "a")
    kinds = [record["type"] for record in read_records(tmp_path / "a")]
    assert kinds[:3] == ["header", "begin", "reference"]
    header = read_records(tmp_path / "a")[0]
    assert (header["name"], header["model_name"]) == ("a", "mixture")
    assert header["experiment"]["samples"] == 100
    assert kinds.count("ask") == kinds.count("result") == 40
    assert kinds.count("scale") == kinds.count("stop") == 1
    assert kinds.count("validation") >= 3
    names = [record["name"] for record in of_type(tmp_path / "a", "phase")]
    assert names == ["reference", "search", "validation"]
    again = Study.read(tmp_path / "a")
    assert tools.comparable(again) == tools.comparable(study)
    assert again.spent == study.spent == pytest.approx(fake_workers.spent)


def test_the_scale_is_fixed_by_the_baselines_alone(tmp_path, tools, fake_workers):
    started(tools, tmp_path / "a", budget={"candidates": 5})
    started(tools, tmp_path / "b", budget={"candidates": 30}, algorithm="random")
    assert of_type(tmp_path / "a", "scale") == of_type(tmp_path / "b", "scale")
    assert of_type(tmp_path / "a", "scale")[0]["axes"]["nfe"] == {
        "zero": 2.0,
        "one": 6.0,
        "log": True,
    }


def test_without_baselines_there_is_no_hypervolume(tmp_path, tools, fake_workers):
    study = started(tools, tmp_path / "a", baselines=[], budget={"candidates": 10})
    assert of_type(tmp_path / "a", "scale") == []
    table = Front.of(study).to_dict()
    assert table["hypervolume"] == {"search": None, "validated": None}
    assert table["points"]


def test_without_measured_objectives_nothing_is_sampled(tmp_path, tools, fake_workers):
    study = started(tools, tmp_path / "a", objectives=["nfe", "memory"])
    assert study.spent == 0
    assert of_type(tmp_path / "a", "validation") == []
    assert next(p["values"]["nfe"]["search"] for p in Front.of(study).to_dict()["points"]) == 2.0


def test_reported_objectives_are_measured_at_validation(tmp_path, tools, fake_workers):
    study = started(tools, tmp_path / "a", report=["fid_plain"])
    assert all(set(c.values) == {"fid", "nfe"} for c in study.feasible)
    for point in Front.of(study).to_dict()["points"]:
        assert point["values"]["fid_plain"]["search"] is None
        assert point["values"]["fid_plain"]["validated"] is not None


# -- reference and teacher ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [("fid", 1, "kid", "fid"), ("kid", 1, "kid", "nfe"), ("precision", -1, "precision")]
)
def test_the_reference_is_the_better_of_the_two(tmp_path, tools, fake_workers, case):
    decides, sign, *objectives = case
    budget = {"candidates": 5}
    study = started(tools, tmp_path / "a", objectives=objectives, budget=budget)
    problem = Problem.of(study.experiment)
    found = {}
    for name in REFERENCES:
        plan = problem.compile(baseline(name, problem.denoiser))
        needs = problem.report_measure.needs
        task = SampleTask(0, plan, 0, Stream.REFERENCE, (0,), problem.seed_block, needs)
        rows = fake_workers.evaluate(task).rows
        found[name] = problem.report_measure.estimates(plan, rows, samples=100)
    best = min(found, key=lambda name: sign * found[name][decides].value)
    assert study.reference.recipe == best
    measured = {name: value for name, value in found[best].items() if name != "nfe"}
    assert study.reference.values == measured
    assert study.reference.forward_equivalents == study.reference.budgeted == 20_000


def test_a_shipped_reference_is_taken_as_it_is(tmp_path, tools, fake_workers, monkeypatch):
    load = ModelSpec.load

    def shipped(spec):
        model = load(spec)
        value = {"fid": {"value": 0.25, "pseudo": [0.2, 0.3]}}
        model.figures = {
            "reference": {"recipe": "ddim@100", "samples": 8000, "seed": 0, "values": value}
        }
        return model

    monkeypatch.setattr(ModelSpec, "load", shipped)
    study = started(tools, tmp_path / "a", budget={"candidates": 5})
    assert study.reference.source == "shipped"
    assert study.overheads == {"reference": 0.0}
    assert Front.of(study).to_dict()["reference"]["values"]["fid"]["value"] == 0.25
    assert study.scale.axes["fid"].zero == 0.25


def test_the_teacher_is_sampled_once_and_counted(tmp_path, tools, fake_workers):
    study = started(
        tools, tmp_path / "a", objectives=["teacher_mse", "nfe"], budget={"candidates": 8}
    )
    assert set(fake_workers.evaluated.values()) == {1}
    costs = {record["what"]: record for record in of_type(tmp_path / "a", "cost")}
    assert set(costs) == {"teacher (search)", "teacher (validation)"}
    # A hundred steps, and twice as many, which tell its error.
    assert costs["teacher (search)"]["forward_equivalents"] == 30_000
    assert study.overheads == {
        # Nothing but the teacher is asked for, and it is at no distance from itself.
        "reference": 0.0,
        "teacher (search)": 30_000.0,
        "teacher (validation)": 0.0,
    }


def test_the_budget_holds_the_reference_and_the_teacher(tmp_path, tools, fake_workers):
    study = started(
        tools,
        tmp_path / "a",
        objectives=["teacher_mse", "nfe"],
        budget={"forward_equivalents": 17_000},
    )
    # Too little for more than the least teacher.
    assert study.overheads["teacher (search)"] == 15_000
    assert 16_400 < study.planned <= 17_000
    assert study.nominal <= 2_000


def test_a_model_that_cannot_run_the_reference_is_refused_before_anything_is_written(
    tmp_path, tools, fake_workers
):
    model = {"name": "mixture", "family": "flow", "schedule": "rectified"}
    with pytest.raises(UserError, match=r"reference ddim@100: .*pure noise"):
        started(tools, tmp_path / "a", model=model, baselines=[])
    assert not (tmp_path / "a").exists()


# -- validation --------------------------------------------------------------------------------


def test_validate_again_with_other_noise(tmp_path, tools, fake_workers):
    first = started(tools, tmp_path / "a")
    count = len(of_type(tmp_path / "a", "validation"))
    study = validate_study(tmp_path / "a", samples=300, seed=7, progress=Progress())
    assert len(of_type(tmp_path / "a", "validation")) == 2 * count
    table = Front.of(study).to_dict()
    assert (table["samples"]["validated"], table["seed"]["validated"]) == (300, 7)
    assert Front.of(first).to_dict()["samples"]["validated"] == 100
    fake_workers.evaluated.clear()
    again = validate_study(tmp_path / "a", samples=300, seed=7, progress=Progress())
    assert not fake_workers.evaluated
    assert tools.comparable(again) == tools.comparable(study)


def test_bad_validations_are_refused(tmp_path, tools, fake_workers):
    started(tools, tmp_path / "a", budget={"candidates": 5})
    with pytest.raises(UserError, match="samples: 150 is not a multiple"):
        validate_study(tmp_path / "a", samples=150, seed=None, progress=Progress())
    with pytest.raises(UserError, match="seed: -1 is below 0"):
        validate_study(tmp_path / "a", samples=None, seed=-1, progress=Progress())
    with pytest.raises(UserError, match="is not a directory"):
        validate_study(tmp_path / "b", samples=None, seed=None, progress=Progress())


def test_what_fails_in_validation_falls_off_and_does_not_stop_the_run(
    tmp_path, tools, fake_workers
):
    evaluate = fake_workers.evaluate

    def failing(task):
        outcome = evaluate(task)
        odd = task.stream == 2 and int(task.plan.identity, 16) % 2
        return Outcome(task.id, reason="worker died: killed (4 times)") if odd else outcome

    fake_workers.evaluate = failing
    study = started(tools, tmp_path / "a")
    table = Front.of(study).to_dict()
    fallen = [c for c in study.candidates.values() if int(c.identity, 16) % 2]
    listed = {point["id"]: point for point in table["points"]}
    assert any(point["on_front"] for point in listed.values())
    for candidate in fallen:
        if candidate.id in listed:
            assert not listed[candidate.id]["on_front"]
            assert listed[candidate.id]["values"]["fid"]["validated"] is None


@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")
def test_estimates_that_are_not_finite_stop_no_validation(tmp_path, tools, fake_workers):
    evaluate = fake_workers.evaluate

    def huge(task):
        outcome = evaluate(task)
        rows = {
            name: values * (1e200 if task.stream == 2 else 1.0)
            for name, values in (
                (name, values.astype(float)) for name, values in outcome.rows.items()
            )
        }
        return Outcome(task.id, rows=rows)

    fake_workers.evaluate = huge
    study = started(tools, tmp_path / "a", budget={"candidates": 8})
    assert len(of_type(tmp_path / "a", "validation")) > 0
    assert not any(point["on_front"] for point in Front.of(study).to_dict()["points"])


# -- progress and signals ----------------------------------------------------------------------


def test_progress_is_told_in_order_and_at_the_end(tmp_path, tools, fake_workers):
    progress = Recorder()
    started(tools, tmp_path / "a", progress=progress)
    assert progress.calls[0] == "start"
    assert progress.calls[-1] == "stop"
    assert set(progress.calls[1:-1]) == {"update"}
    searched = [s for s in progress.snapshots if s.phase == "search"]
    last = searched[-1]
    assert (last.done, last.running, last.budget_share) == (40, 0, 1.0)
    assert last.cost_name == "nfe"
    assert last.quality_name == "fid"
    assert any(entry.is_baseline for entry in last.front)
    assert progress.snapshots[-1].phase == "validation"
    assert progress.snapshots[-1].budget_share == 1.0


def test_progress_stops_also_when_the_run_fails(tmp_path, tools, fake_workers):
    def broken(task):
        raise ZeroDivisionError("a bug")

    fake_workers.evaluate = broken
    progress, before = Recorder(), signal.getsignal(signal.SIGINT)
    with pytest.raises(UserError, match="cannot be sampled: ZeroDivisionError: a bug"):
        started(tools, tmp_path / "a", progress=progress)
    assert progress.calls == ["start", "stop"]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_search_when_all_in_flight_is_saved(
    tmp_path, tools, fake_workers, number
):
    whole = started(tools, tmp_path / "whole")
    interrupted_after(fake_workers, 20, number)
    study = started(tools, tmp_path / "a")
    assert study.stops == ["interrupted"]
    assert all(candidate.finished for candidate in study.candidates.values())
    assert 5 < len(study.candidates) < 40
    assert of_type(tmp_path / "a", "validation") == []
    rest = started(tools, tmp_path / "a", resume=True)
    assert tools.comparable(rest) == tools.comparable(whole)


def test_a_signal_during_validation_ends_it_and_resume_goes_on(tmp_path, tools, fake_workers):
    whole = started(tools, tmp_path / "whole")
    total = len(of_type(tmp_path / "whole", "validation"))
    interrupted_after(fake_workers, 2 + 40 + 2, signal.SIGINT)
    part = started(tools, tmp_path / "a")
    assert 0 < len(of_type(tmp_path / "a", "validation")) < total
    assert Front.of(part).to_dict()["hypervolume"]["validated"] is None
    rest = started(tools, tmp_path / "a", resume=True)
    assert tools.comparable(rest) == tools.comparable(whole)


def test_a_second_signal_stops_at_once(tmp_path, tools, fake_workers):
    interrupted_after(fake_workers, 12, signal.SIGINT, times=2)
    with pytest.raises(KeyboardInterrupt):
        started(tools, tmp_path / "a")
    study = started(tools, tmp_path / "a", resume=True)
    assert len(study.candidates) == 40


def interrupted_after(fake, count, number, times=1):
    """Sends this process a signal within an evaluation, once."""
    evaluate = type(fake).evaluate
    seen = 0

    def interrupting(task):
        nonlocal seen
        seen += 1
        if seen == count:
            for _ in range(times):
                os.kill(os.getpid(), number)
                time.sleep(0.01)
        return evaluate(fake, task)

    fake.evaluate = interrupting


def test_a_second_run_in_the_same_directory_is_refused(tmp_path, tools, fake_workers):
    experiment = tools.experiment()

    def nested(task):
        run_study(experiment, tmp_path / "a", resume=True, progress=Progress())

    fake_workers.evaluate = nested
    with pytest.raises(UserError, match="in use by another run"):
        run_study(experiment, tmp_path / "a", resume=False, progress=Progress())


def test_the_experiment_s_workers_are_asked_for(tmp_path, tools, monkeypatch):
    asked = []

    def make(factory, **options):
        asked.append(options)
        fake = tools.fake()
        return InProcessExecutor(lambda: fake)

    monkeypatch.setattr(session_module, "make_executor", make)
    # Whatever devices there are.
    monkeypatch.setattr(check, "check_local_room", lambda count, **options: None)
    workers = {"count": 3, "cpus": 0.5, "gpus": 1, "executor": "ray", "time_limit": 9}
    started(tools, tmp_path / "a", workers=workers, budget={"candidates": 5})
    assert asked == [
        {
            "count": 3,
            "most": None,  # the lag comes with the workers
            "cpus": 0.5,
            "gpus": 1,
            "kind": "ray",
            "time_limit": 9,
            # The costliest baseline's: six steps of each sample.
            "limited_cost": 600.0,
            "address": None,
        }
    ]
