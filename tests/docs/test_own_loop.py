"""The loops of one's own that the documentation shows run, and find what a run finds."""

import re
from pathlib import Path
from typing import Any

import pytest

from autosearch.engine.run import run_study
from autosearch.experiment import load_experiment
from autosearch.study.progress import Progress
from autosearch.study.study import Study

PAGE = Path(__file__).parents[2] / "docs" / "integrations.md"


@pytest.fixture(scope="module")
def loops() -> list[str]:
    section = PAGE.read_text(encoding="utf-8").split("## A loop of your own")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    changes = ["budget={candidates: 60}", "validation={samples: 400}", "workers={count: 1}"]
    experiment = load_experiment("mixture", changes)
    folder = tmp_path_factory.mktemp("run") / "own"
    return run_study(experiment, folder, resume=False, progress=Progress())


def same(study: Study, other: Study) -> bool:
    values = [{c.id: c.values for c in one.candidates.values()} for one in (study, other)]
    return values[0] == values[1] and study.scale == other.scale


def test_twenty_lines_drive_a_search(loops, whole: Study, capsys) -> None:
    assert len([line for line in loops[0].splitlines() if line.strip()]) <= 20
    names: dict[str, Any] = {}
    exec(loops[0], names)  # the documentation's own code
    assert f"{len(whole.candidates)} candidates" in capsys.readouterr().out
    assert same(names["engine"].study, whole)


def test_a_journaled_loop_goes_on_where_it_ended(
    loops, whole: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(loops[0], names)
    stopped = loops[1].replace("is not None:", "is not None and candidate.id < 30:")
    assert stopped != loops[1]
    exec(stopped, names)
    half = Study.read(Path("runs/own"))
    assert len(half.candidates) == 31
    assert not half.candidates[30].finished
    exec(loops[1], names)
    study = Study.read(Path("runs/own"))
    assert same(study, whole)
    assert study.stops == ["budget"]
    assert study.reference is not None
