"""Searches in this process: a cheap evaluator, and an executor that returns in any order."""

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms import Algorithm
from autosearch.engine import session as session_module
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.workers.base import Evaluator, Executor, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor, Runner
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.study.front import Front
from autosearch.study.journal import Journal, read_journal
from autosearch.study.study import Study

BASE: Mapping[str, Any] = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 6]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim"],
    "samples": 100,
    "validation": {"samples": 100},
    "algorithm": {"name": "nsga2", "population": 8},
    "budget": {"candidates": 40},
}


class Fake(Evaluator):
    """Rows that depend on the plan and the noise alone, without any sampling."""

    def __init__(self) -> None:
        self.evaluated: Counter[str] = Counter()
        self.spent = 0.0

    def evaluate(self, task: SampleTask) -> Outcome:
        self.evaluated[f"{task.plan.identity} {task.stream} {task.seed} {task.blocks}"] += 1
        self.spent += task.nominal
        key = [zlib.crc32(task.plan.identity.encode()), task.seed, int(task.stream)]
        rng = np.random.default_rng([*key, *task.blocks])
        count = len(task.blocks) * task.block_size
        rows = {
            need: rng.normal(rng.normal(), 1, (count, 2)).astype(np.float32)
            for need in sorted(task.needs)
        }
        return Outcome(task.id, rows=rows, forward_equivalents=task.nominal)


class Shuffled(Executor):
    """Runs ``size`` tasks at a time and returns them in random order, a few at once."""

    def __init__(self, evaluator: Evaluator, *, size: int, seed: int) -> None:
        self._runner = Runner(lambda: evaluator, name="shuffled")
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._queue: list[SampleTask] = []
        self.most = 0

    @property
    def size(self) -> int:
        return self._size

    def submit(self, task: SampleTask) -> None:
        self._queue.append(task)
        self.most = max(self.most, len(self._queue))

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        running = min(self._size, len(self._queue))
        count = int(self._rng.integers(1, running + 1)) if running else 0
        done = self._rng.choice(running, size=count, replace=False).tolist() if running else []
        tasks = [self._queue[i] for i in done]
        self._queue = [task for task in self._queue if task not in tasks]
        return [self._runner.run(task) for task in tasks]

    def close(self) -> None:
        self._queue.clear()


@dataclass
class Searched:
    """What a search left."""

    problem: Problem
    study: Study
    records: list[dict[str, Any]]
    stop: str
    engine: Engine
    evaluator: Evaluator
    executor: Executor

    @property
    def asks(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["type"] == "ask"]

    @property
    def baselines(self) -> int:
        return sum(ask["kind"] == "baseline" for ask in self.asks)

    @property
    def results(self) -> dict[int, dict[str, Any]]:
        found = [record for record in self.records if record["type"] == "result"]
        assert len({record["id"] for record in found}) == len(found)
        return {record["id"]: record for record in found}


def experiment(**keys: Any) -> Experiment:
    return experiment_from_dict({**BASE, **keys}, where="test")


def bare(problem: Problem) -> Prepared:
    """A problem's plain baselines, and nothing that would have to be measured."""
    return Prepared(problem, make_baselines(problem, {}))


@dataclass
class SearchRunner:
    """Runs searches in a folder of their own; the same name goes on where it ended."""

    folder: Path
    runs: int = 0

    def search(
        self,
        *,
        name: str | None = None,
        size: int = 1,
        seed: int = 0,
        evaluator: Evaluator | None = None,
        algorithm_of: Callable[[Problem], Algorithm] = Problem.make_algorithm,
        stopping: Callable[[], bool] = lambda: False,
        given: Mapping[str, Any] = MappingProxyType({}),
        **keys: Any,
    ) -> Searched:
        """``seed`` is of the order in which results come; ``given`` are keys of that name."""
        self.runs += 1
        problem = Problem.of(experiment(**keys, **given))
        path = self.folder / (name or f"run{self.runs}")
        fresh = not path.exists()
        header = make_header(problem, path.name)
        journal = Journal.create(path, header) if fresh else Journal.open(path)
        chosen = evaluator or Fake()
        executor = Shuffled(chosen, size=size, seed=seed)
        with journal:
            study = Study.of(journal.history)
            engine = Engine(
                bare(problem),
                algorithm=algorithm_of(problem),
                history=study,
                record=journal.append,
            )
            drive(engine, executor, stopping=stopping)
        records = [event.to_record() for event in read_journal(path)]
        return Searched(problem, study, records, study.stops[-1], engine, chosen, executor)


@pytest.fixture
def runner(tmp_path: Path) -> SearchRunner:
    return SearchRunner(tmp_path)


@pytest.fixture
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Lets whole runs use the cheap evaluator, in this process; returns it."""
    evaluator = Fake()
    monkeypatch.setattr(
        session_module,
        "make_executor",
        lambda factory, **options: InProcessExecutor(lambda: evaluator),
    )
    return evaluator


def comparable(study: Study) -> dict[str, Any]:
    """The front without what may differ between an interrupted run and another."""
    table = Front.of(study).to_dict()
    return {key: value for key, value in table.items() if key not in ("cost", "study")}


@dataclass(frozen=True)
class Tools:
    """What tests build from: fixtures travel, modules beside a test do not."""

    experiment: Callable[..., Experiment] = experiment
    comparable: Callable[[Study], dict[str, Any]] = comparable
    fake: type[Fake] = Fake
    shuffled: type[Shuffled] = Shuffled


@pytest.fixture(scope="session")
def tools() -> Tools:
    return Tools()
