"""Studies in Optuna's storages, and its dashboard."""

import json
import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from support.soaked import soaked

from autosearch.cli import main
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.export.optuna_study import export_study, open_storage, storage_address
from autosearch.recipe import Recipe
from autosearch.study.events import Evaluated
from autosearch.study.journal import read_journal
from autosearch.study.ranking import non_dominated, objectives_of, values_of
from autosearch.study.study import Study


@pytest.fixture(scope="module")
def run(experiment: Any, engine: Any) -> Any:
    """A search with a limit on a measured objective, so that some candidates break it."""
    return engine(experiment(constraints={"fid": {"max": 0.3}}))


def search_front(study: Study) -> set[int]:
    feasible = study.feasible
    return {feasible[i].id for i in non_dominated(values_of(feasible, objectives_of(study)))}


def numbers(trials: list[optuna.trial.FrozenTrial]) -> set[int]:
    return {trial.user_attrs["candidate"] for trial in trials}


@pytest.mark.parametrize("place", ["study.db", "study.journal"])
def test_the_best_trials_are_the_front(run, tmp_path: Path, place: str) -> None:
    path = tmp_path / "sub" / place
    made = export_study(run.directory, str(path))
    found = optuna.load_study(study_name="study", storage=open_storage(str(path)))
    assert found.metric_names == ["fid", "nfe"]
    assert [d.name for d in found.directions] == ["MINIMIZE", "MINIMIZE"]
    assert numbers(found.best_trials) == search_front(run.study) == numbers(made.best_trials)
    assert [t.user_attrs["candidate"] for t in found.trials] == list(range(20))
    for trial in found.trials:
        candidate = run.study.candidates[trial.number]
        assert trial.values == [candidate.values[name].value for name in ("fid", "nfe")]
        assert trial.duration.total_seconds() == pytest.approx(candidate.seconds, abs=2e-6)
        assert trial.params == {}


def test_broken_limits_are_constraints(run) -> None:
    made = export_study(run.study, InMemoryStorage())
    broken = {t.number for t in made.trials if any(v > 0 for v in t.constraints.values())}
    infeasible = {c.id for c in run.study.candidates.values() if c.status == "infeasible"}
    assert broken == infeasible
    assert 0 < len(infeasible) < 20
    for number in infeasible:
        trial = made.trials[number]
        assert trial.state == TrialState.COMPLETE
        assert trial.user_attrs["reason"] == run.study.candidates[number].reason
        assert list(trial.constraints.values()) == [pytest.approx(trial.values[0] - 0.3)]


def test_attributes_tell_the_rest(run) -> None:
    made = export_study(run.study, InMemoryStorage())
    problem = Problem.of(run.study.experiment)
    validated = 0
    for trial in made.trials:
        candidate, attributes = run.study.candidates[trial.number], trial.user_attrs
        recipe = Recipe.from_dict(json.loads(attributes["recipe"]))
        assert problem.compile(recipe).identity == candidate.identity
        assert attributes["steps"] == len(recipe.steps)
        assert attributes["times"].split() == [f"{step.time:g}" for step in recipe.steps]
        assert attributes.get("baseline") == candidate.name
        assert attributes["name"] == candidate.name or attributes["name"] == f"#{candidate.id}"
        error = candidate.values["fid"].standard_error
        assert attributes["fid_standard_error"] == pytest.approx(error)
        again = run.study.validated(candidate)
        assert ("fid_validated" in attributes) is (again is not None)
        if again is not None:
            validated += 1
            assert attributes["fid_validated"] == again["fid"].value
            assert attributes["fid_validated_ci"] == pytest.approx(list(again["fid"].interval()))
    assert validated
    assert json.loads(made.user_attrs["experiment"]) == run.study.experiment.to_dict()


def test_points_of_a_box_are_parameters(experiment, engine) -> None:
    config = experiment(algorithm={"name": "tpe"}, budget={"candidates": 14})
    whole = engine(config).study
    made = export_study(whole, InMemoryStorage())
    problem = Problem.of(config)
    box = {p.name: p for p in problem.space.box()}
    searched = [t for t in made.trials if t.params]
    assert len(searched) == sum(c.kind == "search" for c in whole.candidates.values()) > 0
    for trial in searched:
        candidate = whole.candidates[trial.number]
        assert trial.params == candidate.point
        assert set(trial.distributions) == set(box)
        plan = problem.space.plan(problem.space.from_box(trial.params))
        assert plan.identity == candidate.identity


def test_directions_follow_the_objectives(experiment, engine) -> None:
    names = ["precision", "nfe"]
    whole = engine(experiment(objectives=names, samples=200, budget={"candidates": 12})).study
    made = export_study(whole, InMemoryStorage())
    assert [d.name for d in made.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert numbers(made.best_trials) == search_front(whole)


def test_one_objective_has_a_best_trial(experiment, engine) -> None:
    whole = engine(experiment(objectives=["fid"], budget={"candidates": 12})).study
    made = export_study(whole, InMemoryStorage())
    assert made.best_trial.user_attrs["candidate"] in search_front(whole)


def test_what_has_no_values_fails_and_what_is_pending_is_left_out(run) -> None:
    events = []
    lost = {"status": "infeasible", "reason": "not finite", "values": {}}
    for event in read_journal(run.directory):
        if not isinstance(event, Evaluated) or event.id not in (3, 5):
            events.append(event)
        elif event.id == 3:
            events.append(event.model_copy(update=lost))
    cut = Study.of(events)
    made = export_study(cut, InMemoryStorage())
    assert 5 not in numbers(made.trials)
    assert len(made.trials) == 19
    (failed,) = made.get_trials(states=[TrialState.FAIL])
    assert failed.user_attrs["candidate"] == 3
    assert failed.user_attrs["reason"] == "not finite"
    assert failed.values is None
    assert numbers(made.best_trials) == search_front(cut)


def test_a_name_that_is_taken_is_refused(run, tmp_path: Path) -> None:
    place = str(tmp_path / "two.db")
    export_study(run.study, Path(place))
    with pytest.raises(UserError, match="already has a study 'study'; give another name"):
        export_study(run.study, place)
    export_study(run.study, place, name="other")
    assert set(optuna.get_all_study_names(open_storage(place))) == {"other", "study"}


def test_opening_a_database_leaves_other_loggers_on(tmp_path: Path) -> None:
    logger = logging.getLogger("autosearch.engine.workers.store")
    open_storage(str(tmp_path / "study.db"))
    assert not logger.disabled


def test_an_export_that_breaks_off_leaves_nothing(run, monkeypatch) -> None:
    def interrupted(self: object, trial: object) -> None:
        raise KeyboardInterrupt

    storage = InMemoryStorage()
    monkeypatch.setattr(optuna.study.Study, "add_trial", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_study(run.study, storage)
    assert optuna.get_all_study_names(storage) == []


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("a.db", "sqlite:///a.db"),
        ("/x/a.sqlite3", "sqlite:////x/a.sqlite3"),
        ("odd?name.db", "sqlite:///odd%3Fname.db"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("mysql+pymysql://u@h/d", "mysql+pymysql://u@h/d"),
        ("a.log", "a.log"),
        ("x/a.journal", "x/a.journal"),
    ],
)
def test_places(place: str, address: str) -> None:
    assert storage_address(place) == address


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("study.txt", "end it with one of .db"),
        ("nothing://here", "cannot be opened"),
        ("redis://here", "cannot be opened"),
        ("{}/text.db", "file is not a database"),
        ("{}/text.db/a.db", "cannot be opened"),
        ("{}/text.db/a.log", "cannot be opened"),
    ],
)
def test_places_that_cannot_be_opened_are_one_line(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked at" * 20)
    with pytest.raises(UserError, match="^storage .*" + words):
        open_storage(place.format(tmp_path))


def test_the_command_exports_and_says_how_to_look(run, tmp_path: Path, capsys) -> None:
    place = str(tmp_path / "optuna.db")
    command = ["export", str(run.directory), "--format", "optuna", "-o", place]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        printed.err
        == f"{place}: study 'study' with 20 complete; optuna-dashboard sqlite:///{place}\n"
    )
    assert main(command) == 2
    assert "--name" in capsys.readouterr().err
    assert main([*command, "--name", "again"]) == 0
    capsys.readouterr()
    assert main([*command, "--pick", "knee"]) == 2
    assert "--pick: optuna takes the whole study" in capsys.readouterr().err
    assert main(["export", str(run.directory), "-o", str(tmp_path / "r.json")]) == 2
    assert "--pick: missing" in capsys.readouterr().err
    named = ["export", str(run.directory), "--pick", "knee", "--name", "x", "-o", place]
    assert main(named) == 2
    assert "--name: json hands over a recipe" in capsys.readouterr().err


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def dashboard(run, tmp_path: Path) -> Iterator[str]:
    """The address of a dashboard on an exported study."""
    from optuna_dashboard import wsgi

    place = str(tmp_path / "optuna.db")
    export_study(run.study, place, name="front of the mixture")
    with make_server("127.0.0.1", 0, wsgi(open_storage(place)), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_dashboard_serves_the_study(run, dashboard: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path: str) -> bytes:
        with opener.open(dashboard + path, timeout=20) as answer:
            assert answer.status == 200
            return bytes(answer.read())

    assert b"Optuna Dashboard" in get("/dashboard/")
    (summary,) = json.loads(get("/api/studies"))["study_summaries"]
    assert summary["study_name"] == "front of the mixture"
    assert summary["directions"] == ["minimize", "minimize"]
    details = json.loads(get(f"/api/studies/{summary['study_id']}"))
    assert len(details["trials"]) == 20
    assert details["objective_names"] == ["fid", "nfe"]
    # Broken limits are what the dashboard greys out; among its best it shows them all the same.
    broken = {t["number"] for t in details["trials"] if any(v > 0 for v in t["constraints"])}
    best = {trial["number"] for trial in details["best_trials"]}
    assert best - broken == search_front(run.study)
    assert broken == {c.id for c in run.study.candidates.values() if c.status == "infeasible"}


KILLED = """
import os, sys
from pathlib import Path
import autosearch.export.optuna_study as module
from optuna.study import Study
added, own = 0, Study.add_trial
def add(self, trial):
    global added
    added += 1
    if added > 7:
        os._exit(9)
    own(self, trial)
Study.add_trial = add
module.export_study(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.parametrize("place", soaked(["study.log", "study.db"], but=1))
def test_an_export_that_was_killed_is_no_study_and_hinders_none(
    run, tmp_path: Path, place: str
) -> None:
    path = str(tmp_path / place)
    export_study(run.directory, path, name="other")
    command = [sys.executable, "-c", KILLED, str(run.directory), path]
    for _ in range(2):
        assert subprocess.run(command, check=False).returncode == 9
        names = optuna.get_all_study_names(open_storage(path))
        assert "study" not in names
        assert "other" in names
    assert len(export_study(run.directory, path).trials) == 20
    assert sorted(optuna.get_all_study_names(open_storage(path))) == ["other", "study"]
    assert [one.name for one in tmp_path.iterdir()] == [place]
    with pytest.raises(UserError, match="already has a study 'study'"):
        export_study(run.directory, path)


def test_passwords_are_not_shown(run, capsys) -> None:
    url = "postgresql+none://me:secret@127.0.0.1:1/db"
    assert main(["export", str(run.directory), "--format", "optuna", "-o", url]) == 2
    said = capsys.readouterr().err
    assert "secret" not in said
    assert "postgresql+none://me:***@127.0.0.1:1/db" in said
