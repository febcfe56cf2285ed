"""Files beside the journal."""

import json
from pathlib import Path

import pytest

from autosearch.engine.prepare import make_header
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.study.front import Front
from autosearch.study.journal import Journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study
from autosearch.visualization.figures import front as front_module
from autosearch.visualization.study_outputs import write_artifacts

DATA = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 3]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim", "dpmpp_2m"],
    "samples": 100,
    "budget": {"candidates": 6},
    "validation": {"samples": 200},
    "workers": {"count": 1, "executor": "inprocess"},
}


@pytest.fixture
def problem() -> Problem:
    return Problem.of(Experiment.model_validate(DATA))


def written_for(directory: Path, problem: Problem) -> list[Path]:
    study = Study.read(directory)
    return write_artifacts(directory, problem, study, Front.of(study))


def test_they_are_made_anew_and_alike(problem: Problem, tmp_path: Path) -> None:
    run_study(problem.experiment, tmp_path / "study", resume=False, progress=Progress())
    written = written_for(tmp_path / "study", problem)
    names = ["front.json", "front.txt", "recipe.json", "front.png", "samples.png"]
    assert [path.name for path in written] == names
    before = [path.read_bytes() for path in written]
    for path in written:
        path.unlink()
    assert [path.read_bytes() for path in written_for(tmp_path / "study", problem)] == before


def test_a_study_without_results_gets_its_empty_table(problem: Problem, tmp_path: Path) -> None:
    Journal.create(tmp_path / "study", make_header(problem, "study")).close()
    written = written_for(tmp_path / "study", problem)
    assert [path.name for path in written] == ["front.json", "front.txt"]
    assert json.loads(written[0].read_text())["points"] == []
    assert "nothing on the front" in written[1].read_text()


def test_a_directory_without_a_study_is_refused(problem: Problem, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study"):
        written_for(tmp_path, problem)
    assert list(tmp_path.iterdir()) == []


def test_the_table_and_the_recipe_come_first(
    problem: Problem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = tmp_path / "study"
    run_study(problem.experiment, directory, resume=False, progress=Progress())
    written_for(directory, problem)
    (directory / "recipe.png").write_text("of an earlier knee")

    def fail(*args: object, **more: object) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(front_module, "draw_panel", fail)
    written = written_for(directory, problem)
    assert [p.name for p in written] == ["front.json", "front.txt", "recipe.json", "samples.png"]
    assert not (directory / "front.png").exists()
    assert not (directory / "recipe.png").exists()
    assert "front.png: left out: picture: cannot be drawn: RuntimeError: no fonts" in caplog.text
