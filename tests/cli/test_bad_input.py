"""Wrong input: exit 2, nothing on standard output, one line that names the place and a remedy."""

import json
from pathlib import Path

import pytest

FLOW = {
    "version": 1,
    "model": {"family": "flow", "schedule": "rectified", "prediction": "flow"},
    "steps": [{"time": 1.0}, {"time": 0.5}],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files that are wrong in different ways."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.json").write_text('{"a": ')
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "later.json").write_text('{"version": 2}')
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return tmp_path


def refused(cli, *arguments: object) -> str:
    result = cli(*arguments)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("autosearch: ")
    return result.err


RUN = [
    (["nosuch"], ["'nosuch'", "digits"]),
    (["mixtur"], ["'mixtur'", "did you mean 'mixture'"]),
    (["missing.yaml"], ["missing.yaml", "No such file"]),
    (["broken.yaml"], ["broken.yaml, line 2"]),
    (["list.yaml"], ["list.yaml", "mapping"]),
    (["folder"], ["folder", "digits"]),
    (["mixture", "--set", "nothing"], ["--set 'nothing'", "key=value"]),
    (["mixture", "--set", "sampels=400"], ["'sampels'", "'samples'"]),
    (["mixture", "--set", "samples=abc"], ["samples", "whole number", "'abc'"]),
    (["mixture", "--set", "samples=410"], ["samples", "410", "400"]),
    (["mixture", "--set", "objectives=[fdi, nfe]"], ["'fdi'", "'fid'"]),
    (["mixture", "--set", "objectives=[fd_pixels]"], ["'fd_pixels'", "pixels", "mixture"]),
    (["mixture", "--set", "space.timestep={}"], ["'timestep'", "'timesteps'"]),
    (["mixture", "--set", "space.timesteps.steps=[0, 5]"], ["timesteps.steps", "from 1 to 10000"]),
    (["mixture", "--set", "space.timesteps.gap=1"], ["'gap'", "min_gap"]),
    (["mixture", "--set", "baselines=[dim]"], ["'dim'", "'ddim'"]),
    (["mixture", "--set", "baselines=[ddim-trailin]"], ["'trailin'", "'trailing'"]),
    (["mixture", "--set", "algorithm=nsga4"], ["'nsga4'", "did you mean 'nsga"]),
    (["mixture", "--set", "model=mixtur"], ["'mixtur'", "'mixture'"]),
    (["mixture", "--set", "model.seeds=1"], ["'seeds'", "'seed'"]),
    (["mixture", "--set", "constraints={nfee: {max: 5}}"], ["'nfee'", "'nfe'"]),
    (["mixture", "--workers", "0"], ["--workers 0", "at least 1"]),
    (["mixture", "--budget", "0"], ["--budget 0", "at least 1"]),
    (["mixture", "--seed", "-1"], ["seed", "-1"]),
    (["mixture", "--out", "broken.json"], ["broken.json", "is a file"]),
    (["mixture", "--out", "broken.json/sub"], ["broken.json/sub"]),
    (["mixture", "--resume", "--out", "folder"], ["folder", "no study"]),
    (["mixture", "--dry-run", "--set", "samples=10"], ["samples", "use 100"]),
]


@pytest.mark.parametrize(("arguments", "words"), RUN)
def test_run(cli, place: Path, arguments: list[str], words: list[str]) -> None:
    before = sorted(place.rglob("*"))
    message = refused(cli, "run", *arguments)
    for word in words:
        assert word in message
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("command", ["front", "status", "validate", "plot"])
@pytest.mark.parametrize("name", ["folder", "nosuch", "broken.json"])
def test_a_directory_without_a_study(cli, place: Path, command: str, name: str) -> None:
    output = ["-o", "x.png"] if command == "plot" else []
    message = refused(cli, command, name, *output)
    assert name in message
    assert "autosearch run" in message


def test_a_study_is_never_overwritten(cli, study: Path) -> None:
    message = refused(cli, "run", "mixture", "--out", study)
    assert str(study) in message
    assert "--resume" in message


def test_resume_names_what_differs(cli, study: Path) -> None:
    message = refused(cli, "run", "mixture", "--out", study, "--resume", "--set", "order=arrival")
    assert "--resume" in message


STUDY = [
    (["plot", "-o", "x.jpg"], ["x.jpg", ".png, .pdf or .svg"]),
    (["plot", "-o", "x"], [".png, .pdf or .svg"]),
    (["plot", "-o", "folder"], ["folder", "is a directory"]),
    (["plot", "-o", "broken.json/x.png"], ["broken.json"]),
    (["status", "--watch", "--json"], ["--watch", "--json"]),
    (["validate", "--samples", "0"], ["--samples 0", "at least 1"]),
    (["validate", "--samples", "150"], ["150", "200"]),
    (["validate", "--seed", "-1"], ["--seed -1"]),
    (["export", "-o", "x", "--pick", "9999"], ["9999", "nearest"]),
    (["export", "-o", "x", "--pick", "kne"], ["'kne'", "'knee'"]),
    (["export", "-o", "x", "--pick", "best:fdi"], ["'fdi'", "'fid'"]),
    (["export", "-o", "x", "--pick", "fid"], ["best:fid", "fid<=VALUE"]),
    (["export", "-o", "x", "--pick", "speedup"], ["write speedup>=VALUE"]),
    (["export", "-o", "x", "--pick", "nfe<=0"], ["nfe<=0", "nearest", "2"]),
    (["export", "-o", "x", "--pick", "fid<=low"], ["'low'", "number"]),
    (["export", "-o", "x", "--pick", "fed<=1"], ["'fed'"]),
    (["export", "-o", "x", "--pick", "knee", "--format", "jsn"], ["'jsn'", "'json'"]),
    (["export", "-o", "folder", "--pick", "knee"], ["folder", "is a directory"]),
    (["export", "-o", "broken.json/x", "--pick", "knee"], ["broken.json"]),
]


@pytest.mark.parametrize(("arguments", "words"), STUDY)
def test_commands_on_a_study(
    cli, place: Path, study: Path, arguments: list[str], words: list[str]
) -> None:
    message = refused(cli, arguments[0], study, *arguments[1:])
    for word in words:
        assert word in message


RECIPE = [
    (["missing.json"], ["missing.json", "baseline:"]),
    (["ddim@5"], ["baseline:ddim@5"]),
    (["broken.json"], ["broken.json", "JSON"]),
    (["later.json"], ["later.json", "version 2"]),
    (["flow.json"], ["flow.json", "'flow'", "'vp'"]),
    (["folder"], ["folder", "directory"]),
    (["baseline:ddim"], ["'ddim'", "@STEPS"]),
    (["baseline:dim@5"], ["'dim'", "'ddim'"]),
    (["baseline:ddim@0"], ["'ddim@0'", "at least 1"]),
    (["baseline:ddim-trailin@5"], ["'trailin'", "'trailing'"]),
    (["baseline:ddim-flow@5"], ["'flow'", "vp"]),
]


@pytest.mark.parametrize(("arguments", "words"), RECIPE)
@pytest.mark.parametrize("command", [["evaluate"], ["sample", "-o", "x.png"]])
def test_recipes(
    cli, place: Path, command: list[str], arguments: list[str], words: list[str]
) -> None:
    message = refused(cli, *command, *arguments, "--model", "mixture")
    for word in words:
        assert word in message


EVALUATE = [
    (["--samples", "450"], ["--samples", "450", "400"]),
    (["--samples", "0"], ["--samples", "100"]),
    (["--objectives", "fd"], ["--objectives", "'fd'", "'fid'"]),
    (["--objectives", ""], ["--objectives", "at least one"]),
    (["--objectives", "fid,fid"], ["'fid'", "twice"]),
    (["--objectives", "fd_pixels"], ["'fd_pixels'", "mixture"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--workers", "0"], ["--workers", "at least 1"]),
    (["--experiment", "mixture"], ["--experiment", "--model"]),
    (["--against", "baseline:ddim@0"], ["'ddim@0'"]),
]


@pytest.mark.parametrize(("arguments", "words"), EVALUATE)
def test_evaluate(cli, place: Path, arguments: list[str], words: list[str]) -> None:
    message = refused(cli, "evaluate", "baseline:ddim@2", "--model", "mixture", *arguments)
    for word in words:
        assert word in message


def test_unknown_models(cli, place: Path) -> None:
    assert "'mixture'" in refused(cli, "evaluate", "baseline:ddim@2", "--model", "mixtur")
    assert "'mixture'" in refused(cli, "evaluate", "baseline:ddim@2", "--experiment", "mixtur")


def test_a_stochastic_recipe_has_no_distance_to_a_teacher(cli, place: Path) -> None:
    message = refused(
        cli, "evaluate", "baseline:ddpm@2", "--model", "mixture", "--objectives", "teacher_mse"
    )
    assert "baseline:ddpm@2" in message
    assert "stochastic" in message


SAMPLE = [
    (["-o", "x.jpg"], ["x.jpg", ".png"]),
    (["-o", "folder"], ["folder", "is a directory"]),
    (["-o", "broken.json/x.png"], ["broken.json"]),
    (["-o", "x.png", "-n", "0"], ["-n 0", "at least 1"]),
    (["-o", "x.png", "--seed", "-1"], ["--seed", "-1"]),
]


@pytest.mark.parametrize(("arguments", "words"), SAMPLE)
def test_sample(cli, place: Path, arguments: list[str], words: list[str]) -> None:
    message = refused(cli, "sample", "baseline:ddim@2", "--model", "mixture", *arguments)
    for word in words:
        assert word in message
