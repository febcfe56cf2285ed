"""Loggers from the command line."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from autosearch.cli import main
from autosearch.study.study import Study

SMALL = [
    *("--set", "samples=100", "--set", "validation.samples=100"),
    *("--set", "space={timesteps: {steps: [2, 4]}}", "--set", "baselines=[ddim]"),
]


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")


def steps(folder: Path, tag: str) -> list[int]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars(tag)]


def test_loggers_are_told_where_the_command_line_asks_for_them(tmp_path: Path, capsys) -> None:
    out = tmp_path / "study"
    run = ["run", "mixture", *SMALL, "--out", str(out), "--json"]
    assert main([*run, "--log", "tensorboard", "--budget", "6"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["candidates"] == 6
    # What only the journal names is not obeyed, since it may be a stranger's; it is said.
    assert main([*run, "--resume", "--budget", "7"]) == 0
    assert "loggers (tensorboard) are not told" in capsys.readouterr().err
    assert Study.read(out).experiment.loggers == [{"name": "tensorboard"}]  # and not forgotten
    assert steps(out / "tensorboard", "search/fid") == list(range(6))
    assert main([*run, "--resume", "--log", "tensorboard", "--budget", "8"]) == 0
    assert Study.read(out).experiment.loggers == [{"name": "tensorboard"}]
    assert steps(out / "tensorboard", "search/fid") == list(range(8))
    assert main([*run, "--resume", "--trust", "--budget", "9"]) == 0
    assert steps(out / "tensorboard", "search/fid") == list(range(9))
    before = len(steps(out / "tensorboard", "validated/fid"))
    capsys.readouterr()
    assert main(["validate", str(out), "--seed", "5", "--json"]) == 0
    assert "loggers (tensorboard) are not told" in capsys.readouterr().err
    assert len(steps(out / "tensorboard", "validated/fid")) == before
    for seed, more in enumerate((["--trust"], ["--set", "loggers=[tensorboard]"]), start=6):
        assert main(["validate", str(out), "--seed", str(seed), "--json", *more]) == 0
        after = len(steps(out / "tensorboard", "validated/fid"))
        assert after > before
        before = after
    capsys.readouterr()
    assert main([*run, "--resume", "--set", "loggers=[]", "--budget", "10"]) == 0
    assert steps(out / "tensorboard", "search/fid") == list(range(9))


def test_an_unknown_name_is_the_user_s_mistake(tmp_path: Path, capsys) -> None:
    out = tmp_path / "study"
    assert main(["run", "mixture", *SMALL, "--out", str(out), "--log", "wandbb"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["autosearch: mixture: loggers: unknown logger 'wandbb'; did you mean 'wandb'?"]
    assert not out.exists()
