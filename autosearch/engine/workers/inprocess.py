"""Evaluation in this process, and the rules that hold round an evaluator in any process."""

import dataclasses
import gc
import time
from collections import deque
from collections.abc import Sequence

import torch

from autosearch.diffusion.threads import one_thread
from autosearch.engine.workers.base import Evaluator, EvaluatorFactory, Executor, Outcome, Task
from autosearch.errors import Infeasible, UserError

__all__ = ["InProcessExecutor", "Runner"]


class Runner:
    """One evaluator, built when it is first needed, and what every executor does round it.

    Torch has one thread on the CPU while the evaluator is built or runs, in any process: results
    then do not depend on the executor, and workers beside each other do not fight for cores. The
    caller's own setting comes back afterwards.
    """

    def __init__(self, factory: EvaluatorFactory, *, name: str) -> None:
        self._factory = factory
        self._name = name
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
        """Run a task; an infeasible one, or one that does not fit into memory, has a reason.

        Other exceptions of the evaluator are faults of the program and come through.
        """
        evaluator = self.prepare()
        full = False
        start = time.perf_counter()
        try:
            with one_thread():
                outcome = evaluator.run(task)
        except Infeasible as error:
            reason = _one_line(error) or "infeasible"
            outcome = _without_rows(task, reason, error.forward_equivalents)
        except (torch.OutOfMemoryError, MemoryError) as error:
            outcome = _without_rows(task, f"out of memory: {_one_line(error)}")
            full = True
        seconds = time.perf_counter() - start
        if full:  # only here: while the exception is alive, its frames hold on to the memory
            del evaluator
            self._release()
        return dataclasses.replace(outcome, seconds=seconds, worker=self._name)

    def _release(self) -> None:
        """Drop the evaluator and its memory; the next task builds it again."""
        self._evaluator = None
        gc.collect()
        torch.cuda.empty_cache()  # does nothing where no device is in use


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
        return [self._runner.run(self._queue.popleft())]

    def close(self) -> None:
        self._queue.clear()
        self._runner = None


def _without_rows(task: Task, reason: str, executed: float | None = None) -> Outcome:
    cost = task.nominal if executed is None else executed
    return Outcome(id=task.id, reason=reason, forward_equivalents=cost)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
