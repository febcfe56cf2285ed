"""Evaluation in this process, and the rules that hold round an evaluator in any process."""

import dataclasses
import gc
import logging
import time
from collections import deque
from collections.abc import Sequence

import torch

from autosearch.diffusion.threads import one_thread
from autosearch.engine.workers.base import (
    Evaluator,
    EvaluatorFactory,
    Executor,
    Failure,
    Outcome,
    Task,
)
from autosearch.errors import (
    FAILURES,
    Infeasible,
    MeasurementFailed,
    UserError,
    described,
    one_line,
)

__all__ = ["ATTEMPTS", "InProcessExecutor", "Runner"]

# How often an evaluation is begun that raises what nobody foresaw: it may be a device's own
# trouble, which a fresh start of the evaluator mends.
ATTEMPTS = 2

_log = logging.getLogger(__name__)


class Runner:
    """One evaluator, built when it is first needed, and what every executor does round it.

    Torch has one thread on the CPU while the evaluator is built or runs, in any process: results
    then do not depend on the executor, and workers beside each other do not fight for cores. The
    caller's own setting comes back afterwards.

    Args:
        factory: builds the evaluator.
        name: of the worker.
        owns_process: whether an interrupt can only come from the evaluator's own code; elsewhere
            it is the user's.
    """

    def __init__(self, factory: EvaluatorFactory, *, name: str, owns_process: bool = False) -> None:
        self._factory = factory
        self._name = name
        self._foreseen_by_nobody: tuple[type[BaseException], ...] = FAILURES
        if owns_process:
            self._foreseen_by_nobody += (KeyboardInterrupt,)
        self._evaluator: Evaluator | None = None

    def prepare(self) -> Evaluator:
        """Build the evaluator unless it is there.

        Raises:
            UserError: when the model does not fit into memory.
        """
        if self._evaluator is None:
            try:
                with one_thread():
                    self._evaluator = self._factory()
            except (torch.OutOfMemoryError, MemoryError):
                raise UserError(
                    "workers: out of memory while the model was loaded; ask for fewer workers "
                    "(workers.count) or for a smaller dtype of the model"
                ) from None
        return self._evaluator

    def run(self, task: Task) -> Outcome:
        """Run a task; one that is infeasible or fails has a reason.

        Whatever the evaluator raises, an exit of the program included, is this task's outcome and
        ends no search; the evaluator is built anew after it.

        Raises:
            UserError: when the evaluator cannot be built.
        """
        evaluator = self.prepare()
        spoiled = False
        start = time.perf_counter()
        try:
            with one_thread():
                outcome = evaluator.run(task)
        except Infeasible as error:
            reason = one_line(error) or "infeasible"
            failed = isinstance(error, MeasurementFailed)
            outcome = _without_rows(
                task, reason, "raised" if failed else None, error.forward_equivalents
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            outcome = _without_rows(task, f"out of memory: {one_line(error)}", "memory")
            spoiled = True
        except self._foreseen_by_nobody as error:
            _log.debug("an evaluation failed", exc_info=error)
            outcome = _without_rows(task, described(error), "raised")
            spoiled = True
        seconds = time.perf_counter() - start
        if spoiled:  # only here: while the exception is alive, its frames hold on to the memory
            del evaluator
            self._evaluator = None  # the next task builds it again
            gc.collect()
            torch.cuda.empty_cache()  # does nothing where no device is in use
        return dataclasses.replace(outcome, seconds=seconds, worker=self._name)


class InProcessExecutor(Executor):
    """Runs the oldest task in the calling thread, when somebody waits for it.

    ``timeout`` is ignored: a task that has begun runs to its end.
    """

    def __init__(self, factory: EvaluatorFactory) -> None:
        self._runner: Runner | None = Runner(factory, name="inprocess")
        self._queue: deque[Task] = deque()

    @property
    def size(self) -> int:
        return 1

    def submit(self, task: Task) -> None:
        if self._runner is None:
            raise RuntimeError("the executor is closed")
        self._queue.append(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        if self._runner is None or not self._queue:
            return []
        task = self._queue.popleft()
        outcome = self._runner.run(task)
        for _ in range(ATTEMPTS - 1):
            if outcome.failure != "raised":
                break
            _log.warning("an evaluation failed and is begun again: %s", outcome.reason)
            outcome = self._runner.run(task)
        return [outcome]

    def close(self) -> None:
        self._queue.clear()
        self._runner = None


def _without_rows(
    task: Task, reason: str, failure: Failure | None, executed: float | None = None
) -> Outcome:
    cost = task.nominal if executed is None else executed
    return Outcome(id=task.id, reason=reason, failure=failure, forward_equivalents=cost)
