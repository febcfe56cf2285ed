"""``front``, ``status``, ``validate``, ``plot`` and ``export`` on a finished study."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from autosearch.diffusion.plan import compile_recipe
from autosearch.engine.problem import Problem
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.export import FORMATS
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.study import Study


def test_front_as_text_and_as_json(cli, study: Path) -> None:
    text = cli("front", study)
    assert text.code == 0
    assert text.out == (study / "front.txt").read_text()
    data = cli("front", study, "--json").data
    assert data == Front.of(Study.read(study)).to_dict()
    assert {"study", "model", "objectives", "reference", "hypervolume", "points"} <= set(data)


def test_a_long_front_is_shown_whole_on_request(cli, study: Path, monkeypatch) -> None:
    monkeypatch.setattr("autosearch.study.front_text.MOST_ROWS", 2)
    count = len(Front.of(Study.read(study)).front)
    assert count > 2
    short, whole = cli("front", study).out, cli("front", study, "--all").out
    assert f"{count - 2} more on the front: autosearch front DIR --all" in short
    assert "more on the front" not in whole
    assert len(whole.splitlines()) == len(short.splitlines()) + count - 3


def test_validate_measures_again_on_other_noise(cli, study: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(study, tmp_path / "small")
    before = cli("front", copy, "--json").data
    result = cli("validate", copy, "--samples", "100", "--seed", "7", "--json")
    assert result.code == 0
    assert result.data["samples"]["validated"] == 100
    assert result.data["seed"]["validated"] == 7
    assert result.data["points"][0]["values"] != before["points"][0]["values"]
    assert json.loads((copy / "front.json").read_text()) == result.data


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_plot_writes_each_format(cli, study: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "sub" / f"front{suffix}"
    result = cli("plot", study, "-o", path)
    assert (result.code, result.out) == (0, "")
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    assert path.read_bytes().startswith(starts[suffix])


def test_an_exported_recipe_compiles_to_the_plan_that_was_measured(
    cli, study: Path, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.json"
    assert cli("export", study, "--pick", "knee", "-o", path).code == 0
    found = Study.read(study)
    point = Front.of(found).knee
    assert point is not None
    plan = compile_recipe(Recipe.load(path), Problem.of(found.experiment).denoiser)
    assert plan.identity == found.candidates[point.id].identity


@pytest.mark.parametrize(
    "name",
    [name for name, form in FORMATS.items() if form.kind == "file" and name != "cache-dit"],
)
def test_every_format_writes_its_file(cli, study: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "sub" / "exported"
    result = cli("export", study, "--pick", "best:nfe", "--format", name, "-o", path)
    assert (result.code, result.out) == (0, "")
    text = path.read_text()
    assert (
        [float(part) for part in text.split(",")][-1] == 0
        if name == "sigma-text"
        else json.loads(text)
    )


def test_a_recipe_that_a_format_cannot_hold_is_refused(cli, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "exported"
    result = cli("export", study, "--pick", "best:nfe", "--format", "cache-dit", "-o", path)
    assert result.code == 2
    assert "cache" in result.err
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_validation_that_is_interrupted_says_how_to_go_on(
    cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study, copy)
    evaluate, seen = ModelEvaluator.evaluate, []

    def interrupted(self, task):
        seen.append(task)
        if len(seen) == 2:
            os.kill(os.getpid(), number)
        return evaluate(self, task)

    monkeypatch.setattr(ModelEvaluator, "evaluate", interrupted)
    result = cli("validate", copy, "--seed", "7", "--json")
    assert result.code == 130
    assert result.data["seed"]["validated"] == 0  # the earlier one, which is whole
    line = next(one for one in result.err.splitlines() if "saved before its end" in one)
    again = line.partition("continue with autosearch ")[2].split()
    assert again == ["validate", str(copy), "--samples", "200", "--seed", "7"]
    done = len(seen)
    result = cli(*again, "--json")
    assert (result.code, result.data["seed"]["validated"]) == (0, 7)
    assert len(seen) > done
    assert cli(*again).code == 0


# -- standard output -----------------------------------------------------------------------------

TEXTS = [name for name, form in FORMATS.items() if form.kind == "file"]


@pytest.mark.parametrize("name", [*TEXTS, "diffusers", "optuna"])
def test_a_recipe_goes_to_standard_output(
    cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("export", study, "--format", name)
    if name != "optuna":
        arguments += ("--pick", "best:nfe")
    shown = cli(*arguments, "-o", "-")
    assert list(tmp_path.iterdir()) == []
    if name not in TEXTS or name == "cache-dit":  # which the recipe is none for
        assert (shown.code, shown.out) == (2, "")
        assert shown.err.count("\n") == 1
        return
    written = cli(*arguments, "-o", "x")
    assert shown.code == written.code == 0
    assert shown.out == (tmp_path / "x").read_text()
    assert shown.err == written.err.replace("x: ", "standard output: ", 1)


@pytest.mark.parametrize(
    "arguments",
    [("report", "DIR"), ("plot", "DIR"), ("sample", "baseline:ddim@2")],
)
def test_other_commands_write_no_file_of_that_name(
    cli, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli(*(study if word == "DIR" else word for word in arguments), "-o", "-")
    assert (result.code, result.out) == (2, "")
    assert "-o -: only recipes that export writes go to standard output" in result.err
    assert list(tmp_path.iterdir()) == []
