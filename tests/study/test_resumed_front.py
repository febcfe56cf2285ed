"""A front is a function of a study's settings and results, not of how often it was interrupted."""

from pathlib import Path
from typing import Any

import pytest
from support.soaked import soaked

from autosearch.engine.run import run_study
from autosearch.experiment import Experiment
from autosearch.study.front import Front
from autosearch.study.progress import Progress, unfinished
from autosearch.study.selection import selection
from autosearch.study.study import Study

DATA: dict[str, Any] = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 4]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim", "dpmpp_2m"],
    "algorithm": {"name": "nsga2", "population": 8},
    "samples": 100,
    "validation": {"samples": 100},
    "workers": {"count": 1, "executor": "inprocess"},
}


def searched(directory: Path, seed: int, candidates: int) -> Study:
    """Search to so many candidates, and validate; goes on with what is there."""
    experiment = Experiment.model_validate(
        {**DATA, "seed": seed, "budget": {"candidates": candidates}}
    )
    return run_study(experiment, directory, resume=directory.exists(), progress=Progress())


@pytest.mark.parametrize("seed", soaked(range(8), but=3))
def test_a_resumed_search_shows_the_front_of_the_undisturbed_one(seed: int, tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", seed, 60)
    searched(tmp_path / "parts", seed, 30)
    searched(tmp_path / "parts", seed, 60)
    parts = Study.read(tmp_path / "parts")
    assert unfinished(parts) is None
    volatile = ("cost", "study")
    tables = [
        {key: value for key, value in Front.of(study).to_dict().items() if key not in volatile}
        for study in (whole, parts)
    ]
    assert tables[0] == tables[1]
    assert tables[0]["hypervolume"]["validated"] > 0
    chosen = [c.identity for c in selection(whole)]
    assert [c.identity for c in selection(parts)] == chosen
    noise = (seed, 100)
    records = [{key: study.validations[noise][key] for key in chosen} for study in (whole, parts)]
    assert records[0] == records[1]
    # What the interrupted search validated besides is kept, and does not count.
    assert set(parts.validations[noise]) >= set(whole.validations[noise]) == set(chosen)


def test_some_validations_are_of_candidates_that_no_longer_count(tmp_path: Path) -> None:
    searched(tmp_path / "parts", 3, 30)
    parts = searched(tmp_path / "parts", 3, 60)
    assert len(parts.validations[3, 100]) > len(selection(parts))
