"""Baselines that are fitted to the model, and such as the space cannot express."""

from pathlib import Path
from typing import Any

import pytest

from autosearch.engine.run import run_study
from autosearch.errors import UserError
from autosearch.experiment import experiment_from_dict
from autosearch.study.progress import Progress
from autosearch.study.study import Study
from autosearch.testing.histories import read_records

KEYS: dict[str, Any] = {
    "model": "digits",
    "space": {"named": {"recipes": ["ddim@3"]}, "cache": {}},
    # The kernel distance is content with few samples.
    "objectives": ["kid", "macs"],
    "baselines": ["ddim", "ddim+erta:0.5@3", "dpmpp_2m@2"],
    "samples": 200,
    "validation": {"samples": 200},
    "budget": {"candidates": 4},
    "workers": {"executor": "inprocess"},
}


def run(folder: Path, *, resume: bool = False, **keys: Any) -> Study:
    wanted = experiment_from_dict({**KEYS, **keys}, where="test")
    return run_study(wanted, folder, resume=resume, progress=Progress())


def test_fits_are_made_once_and_yardsticks_are_no_parents(tmp_path: Path) -> None:
    study = run(tmp_path / "study")
    (fit,) = [r for r in read_records(tmp_path / "study") if r["type"] == "fit"]
    assert fit["name"] == "ddim+erta:0.5@3"
    assert fit["forward_equivalents"] > 100
    assert study.overheads["ddim+erta:0.5@3"] == fit["budgeted"]
    found = {c.name: c for c in study.candidates.values() if c.name}
    # What ERTACache rectifies, the family of masks cannot say.
    assert {name: c.foreign for name, c in found.items()} == {
        "ddim@3": False,
        "ddim+erta:0.5@3": True,
        "dpmpp_2m@2": True,
    }
    assert all(c.status == "ok" for c in found.values())
    assert len(study.recipe(found["dpmpp_2m@2"]).steps) == 2
    more = run(tmp_path / "study", resume=True, budget={"candidates": 5})
    assert len([r for r in read_records(tmp_path / "study") if r["type"] == "fit"]) == 1
    assert len(more.candidates) == 5
    whole = run(tmp_path / "whole", budget={"candidates": 5})
    assert [c.identity for c in whole.candidates.values()] == [
        c.identity for c in more.candidates.values()
    ]


def test_what_cannot_be_fitted_is_the_users_to_leave_out(tmp_path: Path) -> None:
    keys = {"model": "mixture", "space": {"timesteps": {}}, "baselines": ["ddim+erta@3"]}
    with pytest.raises(UserError, match=r"'ddim\+erta@3' cannot be fitted: .*no blocks"):
        run(tmp_path / "study", **{**keys, "objectives": ["fid", "nfe"]})
