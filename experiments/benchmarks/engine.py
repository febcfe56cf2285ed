"""Engine time per candidate with empty evaluations; budget 2 ms in process, flat."""

import tempfile
import time
from pathlib import Path
from typing import Any

from autosearch.experiment import Budget, Experiment
from autosearch.journal import Journal
from autosearch.problem import Problem
from autosearch.run import study_header
from autosearch.search import Search
from autosearch.study import Study
from autosearch.workers.base import Evaluator, Outcome, Task
from autosearch.workers.inprocess import InProcessExecutor

__all__ = ["engine"]

_SIZES = (100, 1_000, 10_000)


class _Empty(Evaluator):
    """Costs nothing, measures nothing."""

    def evaluate(self, task: Task) -> Outcome:
        return Outcome(task.id)


def engine() -> dict[str, Any]:
    """Milliseconds per candidate of each algorithm at growing numbers of candidates."""
    return {
        name: {str(size): _milliseconds(name, size) for size in _SIZES}
        for name in ("random", "nsga2")
    }


def _milliseconds(algorithm: str, candidates: int) -> float:
    # Two declared objectives, so that evolution has a front to work on.
    experiment = Experiment(
        model={"name": "mixture"},
        space={"timesteps": {"steps": [2, 10]}, "solver": {}},
        objectives=["nfe", "memory"],
        baselines=["ddim"],
        algorithm={"name": algorithm},
        budget=Budget(candidates=candidates),
    )
    problem = Problem(experiment)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.create(Path(folder), study_header(problem, Path(folder)))
        with journal, InProcessExecutor(_Empty) as executor:
            search = Search(problem, journal, Study.from_records(journal.records), executor)
            start = time.perf_counter()
            search.run()
            seconds = time.perf_counter() - start
    return 1e3 * seconds / candidates
