"""Seconds and forward equivalents that were spent survive a kill, or are called 'at least'."""

import itertools
from pathlib import Path

from autosearch.cli.status import read_status, status_data, status_text
from autosearch.engine import run as run_module
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study, validate_study
from autosearch.engine.workers.base import Outcome
from autosearch.study.events import PhaseBegun, PhaseEnded
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.journal import FILE, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

HOUR = 3600.0


def killed_again_and_again(tools, *, every: int, hours: float) -> tuple[Study, int]:
    """A search whose driver dies after so many results; each evaluation takes a minute."""
    problem = Problem.of(tools.experiment(budget={"hours": hours}, lag=1))
    prepared = Prepared(problem, make_baselines(problem, {}))
    events, kills, now = [make_header(problem, "a")], 0, itertools.count(0, 60.0)
    while True:
        events.append(PhaseBegun(name="search"))
        seconds = [next(now)]

        def clock(seconds=seconds):
            return seconds[0]

        engine = Engine(
            prepared,
            history=tuple(events),
            record=events.append,
            clock=clock,
        )
        for results in itertools.count():
            asked = engine.ask()
            if asked is None:
                return engine.study, kills
            if results == every:
                kills += 1
                break
            seconds[0] += 60.0
            rows = tools.fake().evaluate(asked.task)
            engine.tell(asked.id, Outcome(asked.id, rows=rows.rows))


def test_hours_are_counted_across_kills(tools):
    # An hour is 60 evaluations of a minute, and the one that was begun before they were over.
    for every in (1000, 50):
        study, kills = killed_again_and_again(tools, every=every, hours=1.0)
        assert kills == (0 if every == 1000 else 61 // every)
        assert sum(c.finished for c in study.candidates.values()) == 61
        assert study.searched == 61 * 60.0


def test_a_phase_adds_to_what_a_killed_one_took(tools):
    study, _ = killed_again_and_again(tools, every=30, hours=1.0)
    before = study.searched
    study.apply(PhaseEnded(name="search", seconds=60.0))
    # Of the last run its own clock, of those before it what their last results tell.
    assert before == 61 * 60.0
    assert study.phases["search"] == 60 * 60.0 + 60.0


def cut(source: Path, to: Path, results: int) -> Path:
    """A study whose run was killed after so many results."""
    lines = (source / FILE).read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if b'"type":"result"' in line]
    to.mkdir()
    (to / FILE).write_bytes(b"".join(lines[: ends[results - 1] + 1]))
    return to


def test_after_a_kill_what_was_spent_is_said_to_be_at_least_that(tmp_path, tools, fake_workers):
    experiment = tools.experiment(budget={"candidates": 20})
    whole = run_study(experiment, tmp_path / "whole", resume=False, progress=Progress())
    assert whole.cuts == 0
    assert "at least" not in front_text(Front.of(whole))
    part = cut(tmp_path / "whole", tmp_path / "a", 9)
    killed = read_status(part)
    assert killed.state == "killed"
    assert status_data(killed)["cuts"] == 1
    assert f"at least {killed.study.spent:,.0f} forward equivalents" in status_text(killed)
    assert status_data(killed)["seconds"] >= killed.study.searched > 0
    run_study(experiment, part, resume=True, progress=Progress())
    study = Study.read(part)
    assert study.cuts == 1
    assert Front.of(study).to_dict()["cost"]["cuts"] == 1
    text = front_text(Front.of(study))
    assert "20 candidates, at least " in text
    # One that ends in good order cuts nothing more.
    run_study(experiment, part, resume=True, progress=Progress())
    validate_study(part, samples=None, seed=3, progress=Progress())
    assert Study.read(part).cuts == 1


def test_a_run_that_goes_on_elsewhere_says_so_and_records_it(
    tmp_path, tools, fake_workers, monkeypatch
):
    said = []

    class Said(Progress):
        def message(self, text):
            said.append(text)

    def run(*, resume):
        experiment = tools.experiment(budget={"candidates": 8})
        return run_study(experiment, tmp_path / "a", resume=resume, progress=Said())

    run(resume=False)
    facts = run_module.environment()
    run(resume=True)
    assert said == []
    other = {**facts, "torch": "9.9", "autosearch": "7.0"}
    monkeypatch.setattr(run_module, "environment", lambda: other)
    run(resume=True)
    changes = {"torch": "9.9", "autosearch": "7.0"}
    assert Study.read(tmp_path / "a").environments == [changes]
    assert len(said) == 1
    assert f"torch 9.9 after {facts['torch']}" in said[0]
    assert f"autosearch 7.0 after {facts['autosearch']}" in said[0]
    # Said once: the next run is no other than the last.
    run(resume=True)
    assert len(said) == 1
    begun = [e for e in read_journal(tmp_path / "a") if isinstance(e, PhaseBegun)]
    assert sum(e.name == "resume" for e in begun) == 3
