"""A study as a data frame."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autosearch
from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.journal import Journal, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

DATA = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 3]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim", "dpmpp_2m"],
    "samples": 100,
    "budget": {"candidates": 8},
    "validation": {"samples": 200},
    "workers": {"count": 1, "executor": "inprocess"},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("frame") / "small"
    run_study(Experiment.model_validate(DATA), directory, resume=False, progress=Progress())
    return directory


def test_a_row_for_each_candidate_with_the_front_s_own_numbers(finished: Path) -> None:
    frame = autosearch.study_frame(finished)
    study = Study.read(finished)
    assert list(frame.index) == sorted(study.candidates)
    assert frame.attrs == {
        "study": "small",
        "model": "mixture",
        "directions": {"fid": "minimize", "nfe": "minimize"},
    }
    for point in Front.of(study).to_dict()["points"]:
        row = frame.loc[point["id"]]
        values = point["values"]["fid"]
        assert row["on_front"] == point["on_front"]
        assert row["fid"] == values["search"]
        if point["folded"]:
            assert np.isnan(row["fid_validated"])
            continue
        assert row["fid_validated"] == values["validated"]
        assert [row["fid_low"], row["fid_high"]] == values["ci"]
        assert row["nfe"] == point["values"]["nfe"]["search"]
        assert Recipe.from_dict(json.loads(row["recipe"])).to_dict() == point["recipe"]
        assert row["steps"] == len(point["recipe"]["steps"])
    listed = {point["id"] for point in Front.of(study).to_dict()["points"] if point["on_front"]}
    assert set(frame.index[frame["on_front"]]) == listed
    assert frame["forward_equivalents"].sum() == pytest.approx(study.executed)
    errors = [study.candidates[i].values["fid"].standard_error for i in frame.index]
    assert list(frame["fid_error"]) == pytest.approx(errors)


def test_the_columns_are_in_order_and_of_one_kind(finished: Path) -> None:
    frame = autosearch.study_frame(str(finished))
    assert list(frame.columns) == [
        *("kind", "name", "status", "reason", "on_front", "search_front", "overtaken_by"),
        *("fid", "fid_error", "fid_validated", "fid_low", "fid_high", "nfe"),
        *("steps", "forward_equivalents", "nominal", "seconds", "duplicates", "recipe"),
    ]
    assert str(frame["overtaken_by"].dtype) == "Int64"
    assert frame["on_front"].dtype == bool
    assert set(frame["kind"]) == {"baseline", "search"}
    assert frame.loc[frame["kind"] == "search", "name"].isna().all()


@pytest.mark.parametrize("lines", [1, 4, 8])
def test_a_study_that_still_runs(finished: Path, tmp_path: Path, lines: int) -> None:
    directory = tmp_path / "cut"
    with Journal.create(directory, Study.read(finished).header) as journal:
        for event in read_journal(finished)[1:lines]:
            journal.append(event)
    frame = autosearch.study_frame(Study.read(directory))
    assert {"fid", "nfe", "recipe"} <= set(frame.columns)
    assert set(frame["status"]) <= {"ok", "pending"}


def test_without_pandas_it_says_what_to_install(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'autosearch\[frame\]'"):
        autosearch.study_frame(finished)


def test_a_directory_without_a_study_is_refused(tmp_path: Path) -> Any:
    with pytest.raises(UserError, match="holds no study"):
        autosearch.study_frame(tmp_path)
