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


def test_log_is_kept_on_resume_and_goes_on_in_validate(tmp_path: Path, capsys) -> None:
    out = tmp_path / "study"
    run = ["run", "mixture", *SMALL, "--out", str(out), "--json"]
    assert main([*run, "--log", "tensorboard", "--budget", "6"]) == 0
    assert json.loads(capsys.readouterr().out)["cost"]["candidates"] == 6
    assert main([*run, "--resume", "--budget", "8"]) == 0
    assert Study.read(out).experiment.loggers == [{"name": "tensorboard"}]
    assert steps(out / "tensorboard", "search/fid") == list(range(8))
    before = len(steps(out / "tensorboard", "validated/fid"))
    assert main(["validate", str(out), "--seed", "5", "--json"]) == 0
    assert len(steps(out / "tensorboard", "validated/fid")) > before
    capsys.readouterr()
    assert main([*run, "--resume", "--set", "loggers=[]", "--budget", "9"]) == 0
    assert steps(out / "tensorboard", "search/fid") == list(range(8))


def test_an_unknown_name_is_the_user_s_mistake(tmp_path: Path, capsys) -> None:
    out = tmp_path / "study"
    assert main(["run", "mixture", *SMALL, "--out", str(out), "--log", "wandbb"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["autosearch: loggers: unknown logger 'wandbb'; did you mean 'wandb'?"]
    assert not out.exists()
