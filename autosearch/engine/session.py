"""The resources of one run: open journal, executor, progress display and loggers."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.threads import one_thread
from autosearch.engine.measure import Measure
from autosearch.engine.problem import Problem
from autosearch.engine.reference import sample_reference
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Executor
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.store import BlockStore, StoredExecutor
from autosearch.study.front import make_scale
from autosearch.study.journal import Journal
from autosearch.study.progress import Progress, snapshot
from autosearch.study.study import Record, Study

__all__ = ["STORE_BYTES", "Loggers", "MakeLoggers", "Session", "Watchers"]

STORE_BYTES = 256 * 2**20
# Seconds between two looks at the progress, and how many times as long as one look takes.
_SHOW_EVERY = 0.5
_SHOW_SHARE = 20


class Watchers(Protocol):
    """The loggers of one run: open while it lasts, told from time to time to look at its study."""

    def __enter__(self) -> object: ...

    def __exit__(self, *exc: Any) -> None: ...

    def look(self) -> None:
        """Pass on what is new; never waits."""


class Loggers(Protocol):
    """Loggers that an experiment chose, before there is a run."""

    def attached(self, study: Study, *, directory: Path, key: str) -> Watchers:
        """Loggers that watch a study in a directory; ``key`` identifies it over resumes."""


# Makes loggers of an experiment's ``loggers``: name and settings of each.
MakeLoggers = Callable[[Sequence[Mapping[str, Any]]], Loggers]


class Session:
    """The resources that the phases of one run share."""

    def __init__(
        self,
        problem: Problem,
        journal: Journal,
        progress: Progress,
        interrupted: Callable[[], bool],
        *,
        loggers: Loggers | None = None,
    ) -> None:
        self.problem = problem
        self.journal = journal
        self.progress = progress
        self.interrupted = interrupted
        self.study = Study.from_records(journal.records)
        self._watchers: Watchers | None = None
        if loggers is not None:
            self._watchers = loggers.attached(
                self.study, directory=journal.directory, key=journal.study
            )
        self.artifact_store = ArtifactStore([journal.directory / FOLDER])
        self._started = time.monotonic()
        self._next_show = 0.0

    def __enter__(self) -> "Session":
        with contextlib.ExitStack() as stack:
            # The driver's own arithmetic is small; its threads would take the workers' cores.
            stack.enter_context(one_thread())
            stack.enter_context(threadpool_limits(1, user_api="blas"))
            # Before the workers, so that these are free while loggers come to their end.
            if self._watchers is not None:
                stack.enter_context(self._watchers)
            self.executor: Executor = stack.enter_context(
                StoredExecutor(
                    _executor(self.problem, self.journal.directory / FOLDER),
                    BlockStore(self.journal.directory / "blocks", STORE_BYTES),
                    self.artifact_store,
                )
            )
            self._stack = stack.pop_all()
        self.progress.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.progress.stop()
        self._stack.__exit__(*exc)

    def teacher(
        self, stream: Stream, seed: int, samples: int, measure: Measure
    ) -> NDArray[np.generic] | None:
        """Ends [samples, d] of the fine trajectory from the same noise, where an objective asks."""
        if not measure.needs_teacher:
            return None
        outcome = sample_reference(
            self.problem,
            self.executor,
            stream=stream,
            seed=seed,
            samples=samples,
            stopping=self.interrupted,
        )
        what = f"teacher ({stream.name.lower()})"
        if outcome.forward_equivalents or what not in self.study.overheads:
            self.write(
                {
                    "type": "cost",
                    "what": what,
                    "forward_equivalents": outcome.forward_equivalents,
                    # As for candidates, validation is no part of the search's budget.
                    "budgeted": 0.0 if stream is Stream.VALIDATION else outcome.nominal,
                    "nominal": outcome.nominal,
                }
            )
        return outcome.rows["final"]

    def changed(self, validating: tuple[int, int] | None = None, *, show: bool = False) -> None:
        """Show where the run stands, now and then, or at once."""
        self.fix_scale()
        if self._watchers is not None:
            self._watchers.look()
        start = time.monotonic()
        if start < self._next_show and not show:
            return
        elapsed = start - self._started
        self.progress.update(snapshot(self.study, elapsed, validating=validating))
        end = time.monotonic()
        self._next_show = end + max(_SHOW_EVERY, (end - start) * _SHOW_SHARE)

    def fix_scale(self) -> None:
        """Write the hypervolume's axes once the last baseline is in; without one there are none."""
        study, count = self.study, len(self.problem.baselines)
        if study.scale is not None or len(study.candidates) < count:
            return
        first = [study.candidates[i] for i in range(count)]
        if all(c.finished for c in first) and any(c.status == "ok" for c in first):
            axes = make_scale(study, self.problem.objectives)
            self.write({"type": "scale", "axes": axes})

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Write to the journal how long the body took, also when it ends by an error."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.write({"type": "phase", "name": name, "seconds": time.monotonic() - start})

    def write(self, record: Record, *, sync: bool = False) -> None:
        """Append a record to the journal and apply it to the study."""
        self.journal.append(record, sync=sync)
        self.study.apply(record)


def _executor(problem: Problem, folder: Path) -> Executor:
    experiment = problem.experiment
    workers = experiment.workers
    device = "cuda" if workers.gpus > 0 else "cpu"
    return make_executor(
        functools.partial(
            ModelEvaluator,
            problem.spec,
            device=device,
            artifact_store=ArtifactStore([folder.absolute()]),
            call_cache=workers.call_cache,
        ),
        count=workers.count,
        # More would have nothing to do: so many results are waited for.
        most=experiment.lag if experiment.order == "fixed" else None,
        cpus=workers.cpus,
        gpus=workers.gpus,
        kind=workers.executor,
        time_limit=workers.time_limit,
        address=workers.address,
    )
