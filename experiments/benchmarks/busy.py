"""How busy workers are kept when evaluations differ in length tenfold; aim 95%.

Two real workers of Ray, which sleep for each evaluation's length; and 256 simulated ones on a clock
of their own, which the engine's processor time moves forward as it would a real one: in the default
order and lag, with less lag, and in arrival order.
"""

import functools
import heapq
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autosearch.engine.run import drive
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import (
    DelegatingExecutor,
    Evaluator,
    Executor,
    Outcome,
    SampleTask,
    Task,
)
from autosearch.experiment import Budget
from autosearch.experiments.benchmarks.engine import begun, problem_of

__all__ = ["Simulated", "busy", "length", "simulated"]

_SPREAD = 10.0
_ALGORITHM = "smsemoa"


def busy() -> dict[str, Any]:
    """Shares of the workers' time in which they evaluate, while there is something to search."""
    workers = 256
    asked: dict[str, dict[str, Any]] = {
        "default": {},
        "lag 2 x workers": {"lag": 2 * workers},
        "lag 1 x workers": {"lag": workers},
        "arrival order": {"order": "arrival"},
    }
    return {
        "2 real workers": real(workers=2, shortest=0.1, candidates=150),
        f"{workers} simulated workers": {
            name: simulated(workers=workers, shortest=1.0, candidates=10_000, **keys)
            for name, keys in asked.items()
        },
    }


def length(task: SampleTask, shortest: float) -> float:
    """Seconds of an evaluation, evenly spread on a logarithmic scale, the plan's own."""
    share = zlib.crc32(task.plan.identity.encode()) / 2**32
    return float(shortest * _SPREAD**share)


def simulated(
    *,
    workers: int,
    shortest: float,
    candidates: int,
    clock: Callable[[], float] = time.process_time,
    **keys: Any,
) -> dict[str, float]:
    """Busy share of simulated workers until the last evaluation is asked for.

    Args:
        workers: how many.
        shortest: seconds of the shortest evaluation; the longest takes ten times as long.
        candidates: how many are searched.
        clock: seconds of the engine, which pass for the workers too.
        keys: of the experiment, such as ``lag``.
    """
    executor = Simulated(workers, shortest, clock)
    lag = _search(executor, candidates, keys)
    return {
        "lag": lag,
        "busy": round(executor.busy(), 4),
        "engine_ms": round(executor.engine_ms(), 3),
    }


def real(*, workers: int, shortest: float, candidates: int) -> dict[str, float]:
    """Busy share of workers of Ray, from the first result to the last evaluation asked for."""
    factory = functools.partial(Sleeper, shortest)
    made = make_executor(factory, count=workers, cpus=0.5, gpus=0, kind="ray")
    executor = Watched(made)
    with executor:
        lag = _search(executor, candidates, {})
        return {"lag": lag, "busy": round(executor.busy(), 4)}


def _search(executor: Executor, candidates: int, keys: Mapping[str, Any]) -> int:
    """Search as a run does, with the lag for these workers unless it is given; returns the lag."""
    stated = problem_of(_ALGORITHM, Budget(candidates=candidates), **keys)
    problem = replace(stated, experiment=stated.experiment.settled(executor.size))
    with tempfile.TemporaryDirectory() as folder, begun(problem, Path(folder)) as search:
        drive(search, executor)
    return problem.experiment.lag_for()


class Sleeper(Evaluator):
    """Takes as long as a plan's evaluation is said to take."""

    def __init__(self, shortest: float) -> None:
        self._shortest = shortest

    def evaluate(self, task: SampleTask) -> Outcome:
        time.sleep(length(task, self._shortest))
        return Outcome(task.id)


class Watched(DelegatingExecutor):
    """Any executor, and how much of its workers' time went into evaluations."""

    def __init__(self, inner: Executor) -> None:
        super().__init__(inner)
        self._first: float | None = None
        self._last = 0.0
        # When each result came and how long it had taken.
        self._ends: list[tuple[float, float]] = []

    def submit(self, task: Task) -> None:
        self._last = time.perf_counter()
        super().submit(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        outcomes = super().wait(timeout)
        now = time.perf_counter()
        # The first results tell that workers are up.
        self._first = self._first or now
        self._ends += [(now, outcome.seconds) for outcome in outcomes]
        return outcomes

    def busy(self) -> float:
        """The share between the first result and the last submission."""
        assert self._first is not None
        within = sum(
            max(min(end, self._last) - max(end - seconds, self._first), 0.0)
            for end, seconds in self._ends
        )
        return within / ((self._last - self._first) * self.size)


@dataclass(frozen=True, order=True)
class _Running:
    end: float
    id: int


class Simulated(Executor):
    """Workers on a clock of their own, which another, the engine's, moves between two calls too.

    A worker that is free takes the oldest waiting task, at once.
    """

    def __init__(
        self, size: int, shortest: float, clock: Callable[[], float] = time.process_time
    ) -> None:
        self._size = size
        self._shortest = shortest
        self._clock = clock
        self._now = 0.0
        self._since = clock()
        self._waiting: deque[tuple[int, float]] = deque()
        self._running: list[_Running] = []
        self._done: list[Outcome] = []
        self._spans: list[tuple[float, float]] = []
        self._submitted = 0
        self._last = 0.0
        self._engine = 0.0

    @property
    def size(self) -> int:
        return self._size

    def submit(self, task: Task) -> None:
        assert isinstance(task, SampleTask)
        self._pass()
        self._waiting.append((task.id, length(task, self._shortest)))
        self._submitted += 1
        self._last = self._now
        self._start(self._now)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        self._pass()
        if not self._done and self._running:
            self._now = self._running[0].end
            self._settle()
        ready, self._done = self._done, []
        return ready

    def close(self) -> None:
        self._waiting.clear()

    def busy(self) -> float:
        """The share until the last submission."""
        within = sum(
            min(end, self._last) - start for start, end in self._spans if start < self._last
        )
        return within / (self._last * self._size)

    def engine_ms(self) -> float:
        """Processor time of the engine for each candidate."""
        return 1e3 * self._engine / max(self._submitted, 1)

    def _pass(self) -> None:
        """What the engine has computed since the last call took time here too."""
        now = self._clock()
        self._engine += now - self._since
        self._now += now - self._since
        self._since = now
        self._settle()

    def _settle(self) -> None:
        """End what is over by now; those who are free go on with what was waiting then."""
        while self._running and self._running[0].end <= self._now:
            over = heapq.heappop(self._running)
            self._done.append(Outcome(over.id))
            self._start(over.end)

    def _start(self, at: float) -> None:
        while self._waiting and len(self._running) < self._size:
            number, seconds = self._waiting.popleft()
            heapq.heappush(self._running, _Running(at + seconds, number))
            self._spans.append((at, at + seconds))
