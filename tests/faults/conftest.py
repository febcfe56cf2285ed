"""A study of seconds that faults are injected into, and what must hold after each of them."""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autosearch.engine import session as session_module
from autosearch.engine.run import run_study
from autosearch.engine.workers.base import Evaluator, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import UserError
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.study.events import Asked, Evaluated, Validated
from autosearch.study.front import Front
from autosearch.study.journal import FILE, read_journal
from autosearch.study.progress import Progress
from autosearch.study.study import Study

BASE: Mapping[str, Any] = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 6]}, "solver": {}},
    "objectives": ["fid", "teacher_mse", "nfe"],
    "baselines": ["ddim"],
    "samples": 100,
    "validation": {"samples": 100},
    "algorithm": {"name": "nsga2", "population": 8},
    "budget": {"candidates": 16},
}


class Counted(Evaluator):
    """Rows that depend on the task alone, without any sampling; counts what it finishes."""

    def __init__(self) -> None:
        self.finished: Counter[str] = Counter()
        # Called before each evaluation with its running number, to do harm.
        self.harm: Callable[[int], None] = lambda number: None
        self.begun = 0

    def evaluate(self, task: SampleTask) -> Outcome:
        self.begun += 1
        self.harm(self.begun)
        key = [zlib.crc32(task.plan.identity.encode()), task.seed, int(task.stream), *task.blocks]
        rng = np.random.default_rng(key)
        count = len(task.blocks) * task.block_size
        rows = {
            need: rng.normal(rng.normal(), 1, (count, 2)).astype(np.float32)
            for need in sorted(task.needs)
        }
        self.finished[f"{task.plan.identity} {int(task.stream)} {task.blocks}"] += 1
        return Outcome(task.id, rows=rows, forward_equivalents=task.nominal)


class Said(Progress):
    """Keeps what it is told to say."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Calibrator:
    """Runs a study, hurt or not, with an evaluator that counts."""

    folder: Path
    evaluator: Counted
    wanted: dict[str, Any] = field(default_factory=dict)
    experiment: Experiment = field(
        default_factory=lambda: experiment_from_dict(BASE, where="faults")
    )

    def run(self, name: str = "hurt", progress: Progress | None = None) -> Study:
        """Begin a study, or go on with it."""
        out = self.folder / name
        resume = (out / FILE).exists()
        return run_study(self.experiment, out, resume=resume, progress=progress or Progress())

    def refusal(self, name: str = "hurt") -> str:
        """The one line that a run ends with."""
        with pytest.raises(UserError) as caught:
            self.run(name)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def journal(self, name: str = "hurt") -> Path:
        return self.folder / name / FILE

    def check(self, name: str = "hurt", *, lost: int = 0) -> None:
        """As if nothing had happened: no result twice, ``lost`` evaluations at most done again."""
        assert summary(self.folder / name) == self.wanted
        again = sum(self.evaluator.finished.values()) - len(self.evaluator.finished)
        assert again <= lost, self.evaluator.finished


def summary(directory: Path) -> dict[str, Any]:
    """Everything that a study found, without what it took; fails where something is there twice."""
    events = read_journal(directory)
    results = [event for event in events if isinstance(event, Evaluated)]
    validated = [event for event in events if isinstance(event, Validated)]
    assert len({event.id for event in results}) == len(results)
    assert len({event.identity for event in validated}) == len(validated)
    table = Front.of(Study.read(directory)).to_dict()
    kept = {key: value for key, value in table.items() if key not in ("cost", "study")}
    return {
        "front": kept,
        "asks": [event for event in events if isinstance(event, Asked)],
        "results": {event.id: event.values for event in results},
        "planned": Study.read(directory).planned,
    }


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study that every other one has to equal."""
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        found = _lab(folder, patch)
        found.run("whole")
    return folder / "whole"


@pytest.fixture
def calibrator(tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrator:
    found = _lab(tmp_path, monkeypatch)
    found.wanted = summary(undisturbed)
    return found


def _lab(folder: Path, patch: pytest.MonkeyPatch) -> Calibrator:
    evaluator = Counted()
    patch.setattr(
        session_module,
        "make_executor",
        lambda factory, **options: InProcessExecutor(lambda: evaluator),
    )
    return Calibrator(folder, evaluator)


@pytest.fixture
def said() -> Said:
    return Said()
