"""The means of preparing and validating a study, which is kept up with what they find."""

import contextlib
import time
from collections.abc import Callable, Iterator

from autosearch.engine.workers.base import Executor
from autosearch.study.events import Event, PhaseBegun, PhaseEnded
from autosearch.study.study import Study

__all__ = ["Recorder"]


class Recorder:
    """An executor that measures, and a study that learns what came of it.

    Args:
        executor: who measures.
        study: what happened so far.
        record: called with each new event before it counts, such as a journal's ``append``.
        interrupted: says that nothing more is to be begun.
    """

    def __init__(
        self,
        executor: Executor,
        study: Study,
        record: Callable[[Event], object],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.executor = executor
        self.study = study
        self.interrupted = interrupted
        self._record = record

    def write(self, event: Event) -> None:
        """Take in an event."""
        self._record(event)
        self.study.apply(event)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record that a phase began, and how long the body took, also when it ends by an error."""
        start = time.monotonic()
        self.write(PhaseBegun(name=name))
        try:
            yield
        finally:
            self.write(PhaseEnded(name=name, seconds=time.monotonic() - start))
