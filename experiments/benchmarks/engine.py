"""Engine time per candidate with empty evaluations; budget 2 ms in process, flat to 50,000."""

import gc
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.workers.base import Evaluator, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import Budget, Experiment
from autosearch.study.journal import Journal
from autosearch.study.study import Study

__all__ = ["begun", "engine", "engine_long", "problem_of"]

# The engine, as experiments configure it: the yardsticks, and what is recommended.
_ALGORITHMS = ("random", "nsga2", "smsemoa")
_SIZES = (100, 1_000, 10_000)
_MOST = 50_000
# Candidates at the end of which the time of one is taken.
_WINDOW = 1_000


class Empty(Evaluator):
    """Costs nothing, measures nothing."""

    def evaluate(self, task: SampleTask) -> Outcome:
        return Outcome(task.id)


def engine() -> dict[str, Any]:
    """Milliseconds per candidate of each algorithm over growing numbers of candidates."""
    return {name: grown(name, _SIZES) for name in _ALGORITHMS}


def engine_long() -> dict[str, Any]:
    """The same to 50,000 candidates, and the seconds that opening such a study takes."""
    return {name: grown(name, (*_SIZES, _MOST)) for name in _ALGORITHMS}


def grown(algorithm: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """One search; milliseconds of the last thousand candidates before each size, and of opening.

    Wall time, and the processor's, which other work on the machine does not change.
    """
    gc.collect()  # what an earlier search left is not this one's to clear away
    problem = problem_of(algorithm, Budget(candidates=sizes[-1]))
    clock: list[tuple[float, float]] = []

    def tick() -> None:
        clock.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with InProcessExecutor(Empty) as executor, begun(problem, directory) as search:
            tick()
            drive(search, executor, on_result=tick)
        found = {str(size): _milliseconds(clock, size) for size in sizes}
        start = time.perf_counter(), time.process_time()
        study = Study.read(directory)
        assert len(study.candidates) == sizes[-1]
        end = time.perf_counter(), time.process_time()
    opening = {"wall_s": round(end[0] - start[0], 3), "cpu_s": round(end[1] - start[1], 3)}
    return {**found, "opening": opening}


def problem_of(algorithm: str, budget: Budget, **keys: Any) -> Problem:
    """Two declared objectives, so that evolution has a front to work on."""
    return Problem.of(
        Experiment(
            model={"name": "mixture"},
            space={"timesteps": {"steps": [2, 10]}, "solver": {}},
            objectives=["nfe", "memory"],
            baselines=["ddim"],
            algorithm={"name": algorithm},
            budget=budget,
            **keys,
        )
    )


@contextmanager
def begun(problem: Problem, directory: Path) -> Iterator[Engine]:
    """A search of a new study, its journal open."""
    prepared = Prepared(problem, make_baselines(problem, {}))
    with Journal.create(directory, make_header(problem, directory.name)) as journal:
        yield Engine(prepared, history=journal.history, record=journal.append)


def _milliseconds(clock: list[tuple[float, float]], size: int) -> dict[str, float]:
    """Of one candidate, over the last ones before ``size``; the clock ticks once for each."""
    start = max(size - _WINDOW, 0)
    wall, cpu = (clock[size][i] - clock[start][i] for i in (0, 1))
    count = size - start
    return {"wall_ms": round(1e3 * wall / count, 3), "cpu_ms": round(1e3 * cpu / count, 3)}
