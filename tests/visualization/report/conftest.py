"""Two small finished studies, of two and of three objectives, that tests only read."""

from pathlib import Path

import pytest

from autosearch.engine.run import run_study
from autosearch.experiment import Experiment
from autosearch.study.progress import Progress

DATA = {
    "model": "mixture",
    "space": {"timesteps": {"steps": [2, 4]}, "solver": {}},
    "baselines": ["ddim", "dpmpp_2m"],
    "samples": 200,
    "budget": {"candidates": 16},
    "validation": {"samples": 200},
    "workers": {"count": 1, "executor": "inprocess"},
}


def _made(objectives: list[str], directory: Path) -> Path:
    experiment = Experiment.model_validate({**DATA, "objectives": objectives})
    run_study(experiment, directory, resume=False, progress=Progress())
    return directory


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(["fid", "nfe"], tmp_path_factory.mktemp("report") / "two")


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made(["fid", "kid", "nfe"], tmp_path_factory.mktemp("report") / "three")
