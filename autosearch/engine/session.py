"""The resources of one run: open journal, executor, progress display and loggers."""

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.threads import one_thread
from autosearch.engine.prepared import candidate_cost
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Executor
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.store import BlockStore, StoredExecutor
from autosearch.study.events import Event
from autosearch.study.journal import Journal
from autosearch.study.progress import Progress, snapshot
from autosearch.study.study import Study

__all__ = [
    "STORE_BYTES",
    "Loggers",
    "MakeLoggers",
    "Session",
    "make_workers",
    "no_loggers",
    "open_session",
]

STORE_BYTES = 256 * 2**20
# Seconds between two looks at the progress, and how many times as long as one look takes.
_SHOW_EVERY = 0.5
_SHOW_SHARE = 20

# Loggers that an experiment chose. Given a study, its directory and its id over resumes, they watch
# while the context lasts; what it gives is called when there may be news, and never waits.
Loggers = Callable[[Study, Path, str], AbstractContextManager[Callable[[], None]]]
# Makes loggers of an experiment's ``loggers``: name and settings of each.
MakeLoggers = Callable[[Sequence[Mapping[str, Any]]], Loggers]


@dataclass(eq=False, kw_only=True)
class Session(Recorder):
    """A recorder that shows progress and tells loggers, made by :func:`open_session`."""

    progress: Progress
    look: Callable[[], None]
    _started: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._next_show = self._started + _SHOW_EVERY

    def write(self, event: Event) -> None:
        """Take in an event, and show what is being set up."""
        super().write(event)
        if self.study.setup is not None:
            self.changed()

    def changed(self, validating: tuple[int, int] | None = None, *, show: bool = False) -> None:
        """Show where the run stands, now and then, or at once."""
        self.look()
        start = time.monotonic()
        if start < self._next_show and not show:
            return
        elapsed = start - self._started
        self.progress.update(snapshot(self.study, elapsed, validating=validating))
        end = time.monotonic()
        self._next_show = end + max(_SHOW_EVERY, (end - start) * _SHOW_SHARE)


@contextlib.contextmanager
def open_session(
    journal: Journal,
    study: Study,
    progress: Progress,
    interrupted: Callable[[], bool],
    *,
    loggers: Loggers,
    workers: Executor,
) -> Iterator[Session]:
    """Loggers and progress display of a run, for as long as the body lasts; ends its workers.

    Args:
        journal: open for writing.
        study: what the journal holds; kept up with it.
        progress: shows where the run stands.
        interrupted: whether the user asked to stop.
        loggers: which the experiment chose.
        workers: who evaluate.
    """
    directory = journal.directory
    artifacts = ArtifactStore([directory / FOLDER])
    with contextlib.ExitStack() as stack:
        # The driver's own arithmetic is small; its threads would take the workers' cores.
        stack.enter_context(one_thread())
        # Before the workers, so that these are free while loggers come to their end.
        look = stack.enter_context(loggers(study, directory, journal.study))
        store = BlockStore(directory / "blocks", STORE_BYTES)
        executor = stack.enter_context(StoredExecutor(workers, store, artifacts))
        stack.callback(progress.stop)
        progress.start()
        yield Session(executor, study, journal.append, interrupted, progress=progress, look=look)


def no_loggers(chosen: Sequence[Mapping[str, Any]]) -> Loggers:
    """Makes none, whatever an experiment chose."""
    return lambda study, directory, key: contextlib.nullcontext(lambda: None)


def make_workers(problem: Problem, artifacts: Path | None = None) -> Executor:
    """An executor as the experiment's ``workers`` describe it.

    Args:
        problem: whose model they hold.
        artifacts: folder of the artifacts that recipes refer to; by default they are in memory.
    """
    experiment = problem.experiment
    workers, lag = experiment.workers, experiment.lag
    return make_executor(
        functools.partial(
            ModelEvaluator,
            problem.spec,
            device="cuda" if workers.gpus > 0 else "cpu",
            artifact_store=ArtifactStore([] if artifacts is None else [artifacts.absolute()]),
            call_cache=workers.call_cache,
        ),
        count=workers.count,
        # More would have nothing to do: so many results are waited for.
        most=lag if lag != "auto" and experiment.order == "fixed" else None,
        cpus=workers.cpus,
        gpus=workers.gpus,
        kind=workers.executor,
        time_limit=workers.time_limit,
        limited_cost=candidate_cost(problem) if workers.time_limit is not None else math.inf,
        address=workers.address,
    )
