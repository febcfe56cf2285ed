"""Small searches of the exact mixture, and what the engine makes of them."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autosearch.engine.run import run_study
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.study.events import Asked
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Tune takes Ctrl-C for itself, and does not give it back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


BASE: dict[str, Any] = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 5]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim", "dpmpp_2m"],
    "samples": 100,
    "validation": {"samples": 200},
    "algorithm": {"name": "nsga2", "population": 6},
    "budget": {"candidates": 20},
    # What is executed would depend on who evaluates.
    "workers": {"executor": "inprocess", "call_cache": "off"},
    "lag": 4,
}


@dataclass(frozen=True)
class EngineRun:
    """A study that the engine searched, and what it asked for."""

    study: Study
    directory: Path

    @property
    def asks(self) -> list[Asked]:
        return [event for event in read_journal(self.directory) if isinstance(event, Asked)]


@pytest.fixture(scope="session")
def experiment() -> Callable[..., Experiment]:
    def make(**changes: Any) -> Experiment:
        return experiment_from_dict({**BASE, **changes}, where="test")

    return make


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Experiment], EngineRun]:
    """Runs an experiment in this process."""

    def run(given: Experiment) -> EngineRun:
        directory = tmp_path_factory.mktemp("engine") / "study"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
            run_study(given, directory, resume=False, progress=Progress())
        return EngineRun(Study.read(directory), directory)

    return run
