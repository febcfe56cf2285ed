"""What loggers are told, and that nothing they do hurts a run."""

import json
import logging
import sys
import threading

import pytest

from autosearch.cli.listing import experiment_schema
from autosearch.errors import PartFailed, UserError
from autosearch.experiment import experiment_from_dict
from autosearch.integrations.loggers import BUILTIN, REGISTRY, Logger
from autosearch.integrations.loggers import dispatch as watching
from autosearch.study.front import Front
from autosearch.study.hypervolume import volumes
from autosearch.study.study import Study

EXPERIMENT = {"model": "mixture", "space": {"timesteps": {}}, "objectives": ["fid", "nfe"]}


def _interrupt(code: int) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Registers the loggers ``notes``, ``thief`` and ``slow``; what ``notes`` was told."""
    told: list[tuple] = []

    class Notes(Logger):
        name, summary = "notes", "remembers"

        def __init__(self, *, fail_at: int = -1) -> None:
            self.fail_at = fail_at

        def on_start(self, watched):
            told.append(("start", watched.id, watched.next_candidate))

        def on_result(self, candidate, numbers):
            if candidate.id == self.fail_at:
                raise OSError("the disk\nis full")
            told.append(("result", candidate.id, dict(numbers)))

        def on_validation(self, candidate, numbers):
            told.append(("validation", candidate.id, dict(numbers)))

        def on_end(self, ending):
            told.append(("end", ending.step, ending))

        def close(self, *, finished):
            told.append(("close", finished))

    class Thief(Logger):
        name, summary = "thief", "empties what it is given"

        def on_result(self, candidate, numbers):
            candidate.values.clear()
            candidate.genome.clear()
            numbers.clear()

        on_validation = on_result

    class Leaver(Logger):
        name, summary = "leaver", "ends the program"

        def __init__(self, *, at: str = "on_result", way: str = "exit") -> None:
            self.at = at
            self.way = {"exit": sys.exit, "interrupt": _interrupt}[way]
            if at == "init":
                self.way(0)

        def __getattribute__(self, attribute):
            if attribute in ("on_start", "on_result", "on_end", "close") and attribute == self.at:
                self.way(0)
            return super().__getattribute__(attribute)

    class Slow(Logger):
        name, summary = "slow", "never comes back"

        def on_start(self, watched):
            threading.Event().wait()

    monkeypatch.setattr(REGISTRY, "builtin", (*BUILTIN, Leaver, Notes, Slow, Thief))
    return told


def kinds(heard: list[tuple]) -> list[str]:
    return [entry[0] for entry in heard]


def test_results_come_once_in_order_with_their_numbers(run, heard) -> None:
    study = run(["notes"])
    assert heard[0][0] == "start"
    assert heard[0][2] == 0
    results = [entry for entry in heard if entry[0] == "result"]
    assert [entry[1] for entry in results] == list(range(12))
    growth = {g.candidates: g.volume for g in volumes(study, most=100)}
    spent = 0.0
    for _, number, numbers in results:
        candidate = study.candidates[number]
        assert numbers["search/fid"] == candidate.values["fid"].value
        assert numbers["search/fid_error"] == candidate.values["fid"].standard_error
        assert numbers["search/nfe"] == len(study.recipe(candidate).steps)
        spent += candidate.executed
        assert numbers["total/forward_equivalents"] == spent
        if candidate.kind == "search":
            assert numbers["hypervolume"] == pytest.approx(growth[number + 1], rel=1e-12)
    assert kinds(heard)[-2:] == ["end", "close"]
    assert heard[-1] == ("close", True)


def test_what_a_logger_does_to_its_copies_hurts_nobody(run, heard) -> None:
    alone = run(["thief", "notes"])
    assert len(alone.candidates) == 12
    assert all(c.values and c.genome for c in alone.candidates.values())
    assert all(entry[2] for entry in heard if entry[0] == "result")


def test_validated_values_and_the_front_come_with_their_intervals(run, heard, tmp_path) -> None:
    study = run(["notes"])
    validated = [entry for entry in heard if entry[0] == "validation"]
    assert len(validated) == len(study.validations[0, 100]) > 2
    for _, number, numbers in validated:
        estimate = study.validated(study.candidates[number])["fid"]
        assert numbers["validated/fid"] == estimate.value
        assert (numbers["validated/fid_low"], numbers["validated/fid_high"]) == estimate.interval()
        assert numbers["validated/samples"] == 100
    ending = heard[-2][2]
    assert ending.table == Front.of(study).to_dict()
    assert ending.picture == tmp_path / "study" / "front.png"
    assert ending.picture.read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in ending.rows] == [
        p["id"] for p in sorted(ending.table["points"], key=lambda p: p["values"]["nfe"]["search"])
        if p["on_front"]
    ]  # fmt: skip
    assert all(len(row) == len(ending.columns) for row in ending.rows)
    assert ending.numbers["cost/candidates"] == 12


def test_a_resumed_run_goes_on_and_one_without_news_says_nothing(run, heard) -> None:
    run(["notes"])
    first = list(heard)
    heard.clear()
    run(["notes"], resume=True)
    assert kinds(heard) == ["start", "close"]
    assert heard[0][1] == first[0][1]
    heard.clear()
    run(["notes"], resume=True, candidates=15)
    assert [entry[1] for entry in heard if entry[0] == "result"] == [12, 13, 14]
    before = {entry[1] for entry in first if entry[0] == "validation"}
    assert not before & {entry[1] for entry in heard if entry[0] == "validation"}
    assert kinds(heard)[-2:] == ["end", "close"]


def test_after_a_kill_the_rest_is_told_as_it_would_have_been(run, heard, cut) -> None:
    run(["notes"])
    whole = {entry[1]: entry[2] for entry in heard if entry[0] == "result"}
    heard.clear()
    # The journal lost what the logger had been told: it is told the rest alone.
    cut(7)
    run(["notes"], resume=True)
    assert "result" not in kinds(heard)
    # A logger that is new to the study, or has other settings, is told everything.
    heard.clear()
    run([{"name": "notes", "fail_at": 99}], resume=True)
    again = {entry[1]: entry[2] for entry in heard if entry[0] == "result"}
    # What the store still holds is not executed again.
    spent = {"cost/seconds", "cost/forward_equivalents", "total/forward_equivalents"}
    same = [
        {key: value for key, value in numbers.items() if key not in spent}
        for numbers in (*whole.values(), *again.values())
    ]
    assert same[: len(whole)] == same[len(whole) :]


def test_a_failure_switches_the_logger_off_in_one_line_and_the_run_goes_on(
    run, heard, caplog
) -> None:
    caplog.set_level(logging.WARNING, logger="autosearch")
    study = run([{"name": "notes", "fail_at": 5}])
    assert len(study.feasible) == 12
    assert [r.getMessage() for r in caplog.records if "logger" in r.getMessage()] == [
        "logger notes: switched off: OSError: the disk is full"
    ]
    assert [entry[1] for entry in heard if entry[0] == "result"] == [0, 1, 2, 3, 4]
    # Once the disk has room, a resumed run tells what is missing.
    heard.clear()
    run([{"name": "notes", "fail_at": -1}], resume=True)
    assert [entry[1] for entry in heard if entry[0] == "result"][-1] == 11


@pytest.mark.parametrize("way", ["exit", "interrupt"])
@pytest.mark.parametrize("at", ["on_start", "on_result", "on_end", "close"])
def test_one_that_ends_the_program_is_named_and_the_run_goes_on(run, heard, caplog, at, way):
    caplog.set_level(logging.WARNING, logger="autosearch")
    study = run([{"name": "leaver", "at": at, "way": way}, "notes"])
    assert len(study.feasible) == 12
    error = "SystemExit: 0" if way == "exit" else "KeyboardInterrupt:"
    assert [r.getMessage() for r in caplog.records if "logger" in r.getMessage()] == [
        f"logger leaver: switched off: {error}"
    ]
    assert heard[-1] == ("close", True)


def test_one_that_ends_the_program_where_it_is_made_is_one_line(run, heard, tmp_path, caplog):
    made = [{"name": "leaver", "at": "init"}]
    with pytest.raises(PartFailed, match=r"logger 'leaver': SystemExit: 0 .*; tell its author"):
        run(made)
    assert not (tmp_path / "study").exists()
    watching.make_loggers(made, strict=False)
    assert "tell its author; goes on without it" in caplog.text


def test_one_that_hangs_is_left_behind(run, heard, caplog, monkeypatch) -> None:
    monkeypatch.setattr(watching, "_PATIENCE", 0.2)
    study = run(["slow"])
    assert len(study.feasible) == 12
    assert "logger slow: still busy after 0.2 s; left behind" in caplog.text


def test_an_error_of_the_run_closes_loggers_at_once(run, heard, monkeypatch) -> None:
    from autosearch.engine import run as run_module

    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "drive", stop)
    with pytest.raises(KeyboardInterrupt):
        run(["notes"])
    assert kinds(heard) == ["start", "close"]
    assert heard[-1] == ("close", False)


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (["tensorbord"], "loggers: unknown logger 'tensorbord'; did you mean 'tensorboard'"),
        ([{"name": "wandb", "mod": "offline"}], "loggers.wandb: unknown key 'mod'; did you mean"),
        ([{"name": "wandb", "mode": "cloud"}], "loggers.wandb.mode: .*'offline' or 'online'"),
        (["mlflow", {"name": "mlflow"}], "'mlflow' stands twice"),
        ([3], "give names, or mappings"),
        ("mlflow", "loggers: expected a list"),
    ],
)
def test_mistakes_are_refused_before_anything_is_written(run, tmp_path, loggers, message) -> None:
    with pytest.raises(UserError, match=message):
        run(loggers)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("name", "package"),
    [("tensorboard", "tensorboard"), ("wandb", "wandb"), ("mlflow", "mlflow")],
)
def test_a_missing_library_is_refused_before_the_run(
    run, tmp_path, monkeypatch, name, package
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(UserError) as caught:
        run([name])
    expected = f"loggers.{name}: {package} is not installed; pip install 'autosearch[loggers]'"
    assert str(caught.value) == expected
    assert not (tmp_path / "study").exists()
    study = run([])
    # Measuring a front again is not worth refusing for it.
    left = watching.make_loggers([{"name": name}], strict=False)
    before = set(threading.enumerate())
    with left(study, tmp_path / "study", "id"):
        assert set(threading.enumerate()) <= before
    assert len(study.feasible) == 12


def test_names_and_settings_are_kept_in_the_study_and_may_change(run, heard, tmp_path) -> None:
    run([])
    run(["notes"], resume=True)
    assert Study.read(tmp_path / "study").experiment.loggers == [{"name": "notes"}]
    marks = json.loads((tmp_path / "study" / "loggers" / "notes.json").read_text())
    assert marks["results"] == 12


def test_a_damaged_mark_begins_anew(run, heard, tmp_path) -> None:
    run(["notes"])
    heard.clear()
    (tmp_path / "study" / "loggers" / "notes.json").write_text('{"settings": {}, "results": "x"}')
    run(["notes"], resume=True)
    assert [entry[1] for entry in heard if entry[0] == "result"] == list(range(12))


def test_bare_names_are_short_for_mappings_and_in_the_schema() -> None:
    found = experiment_from_dict({**EXPERIMENT, "loggers": ["wandb"]}, where="test")
    assert found.loggers == [{"name": "wandb"}]
    items = experiment_schema()["properties"]["loggers"]["items"]
    assert items["anyOf"][0] == {"enum": ["tensorboard", "wandb", "mlflow"]}


def test_what_an_earlier_version_kept_beside_a_study_still_counts(run, heard, tmp_path) -> None:
    run(["notes"])
    heard.clear()
    (tmp_path / "study" / "loggers").rename(tmp_path / "study" / "callbacks")
    run(["notes"], resume=True)
    assert [entry for entry in heard if entry[0] == "result"] == []


@pytest.mark.parametrize("groups", [["callbacks"], ["callbacks", "loggers"]])
def test_the_old_group_of_entry_points_is_still_found(tmp_path, monkeypatch, groups) -> None:
    info = tmp_path / "older-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: older\nVersion: 1.0\n")
    lines = [f"[autosearch.{group}]\nplain = older_logger:Plain\n" for group in groups]
    (info / "entry_points.txt").write_text("".join(lines))
    (tmp_path / "older_logger.py").write_text(
        "from autosearch.integrations.loggers import Logger\n"
        "class Plain(Logger):\n    name, summary = 'plain', 'says nothing'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert issubclass(REGISTRY.find("plain"), Logger)
