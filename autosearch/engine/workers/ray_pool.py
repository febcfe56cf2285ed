"""Evaluation on Ray actors, one model each: on this machine, or on a cluster given by address."""

import contextlib
import dataclasses
import itertools
import logging
import math
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import ray
import ray.exceptions
import ray.util
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from autosearch.engine.workers.affinity import Seen, Waiting, task_keys, waiting_choice
from autosearch.engine.workers.base import EvaluatorFactory, Executor, Failure, Outcome, Task
from autosearch.engine.workers.devices import show_devices
from autosearch.engine.workers.inprocess import ATTEMPTS, Runner
from autosearch.engine.workers.ray_cluster import (
    Arrivals,
    Pulse,
    abandon,
    connect,
    free_room,
    reserve,
    room_on,
    worker_count,
)
from autosearch.errors import ClusterLost, UserError, one_line

__all__ = ["RayExecutor"]

# What Ray raises when the worker is gone, not when the evaluator raised.
_LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
)
# Seconds between two looks at Ray itself: whether it is there, and what has joined it.
_LOOK = 5.0
# How often an evaluation may lose its machine before that counts as its own fault.
_MOVES = 10

_log = logging.getLogger(__name__)


class RayExecutor(Executor):
    """A pool of actors, each with the model that ``factory`` builds in it.

    The factory travels by cloudpickle: a module's function, or a ``functools.partial`` of one. A
    worker that dies, or works on one task for longer than ``time_limit`` seconds, is started
    anew and its task queued again, ``max_retries`` times at most; then the task has failed. A task
    of more than ``limited_cost`` forward equivalents may take proportionally longer. What an
    evaluator raises is begun again once, by a worker that is started anew for it.
    Building the model has no limit. Workers without a GPU see none.

    A worker whose machine leaves the cluster waits for room elsewhere, and its task goes to
    another, which does not count as the task's failure. With ``count`` auto, machines that join
    get workers, up to ``most`` in all.

    An idle worker is given, of the tasks that wait, the one whose plan begins as those that it had
    before; none waits for another worker, and none stays idle for it.
    """

    def __init__(
        self,
        factory: EvaluatorFactory,
        *,
        count: int | Literal["auto"] = "auto",
        most: int | None = None,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        max_retries: int = 3,
        time_limit: float | None = None,
        limited_cost: float = math.inf,
        address: str | None = None,
    ) -> None:
        """Start the workers; their models are built in the background.

        Raises:
            UserError: when Ray has no room for the workers, or does not answer.
        """
        self._factory = factory
        self._share = {"cpus": num_cpus, "gpus": num_gpus}
        self._max_retries = max_retries
        self._time_limit = time_limit
        self._limited_cost = limited_cost
        self._queue: deque[_Queued] = deque()
        self._done: list[Outcome] = []
        self._slots: list[_Slot] = []
        self._groups: list[Any] = []
        # How many workers there may be in all.
        self._most = most if most is not None else math.inf
        self._grows = count == "auto"
        self._next_look = time.monotonic() + _LOOK
        self._lost = False
        self._closed = False
        self._owns_ray = connect(address=address)
        try:
            size = worker_count(count, **self._share, most=most)
            self._pulse, self._arrivals = Pulse(), Arrivals()
            self._add(size)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        return len(self._slots)

    def submit(self, task: Task) -> None:
        if self._closed:
            raise RuntimeError("the executor is closed")
        self._queue.append(_Queued(task=task, keys=task_keys(task)))
        self._dispatch()

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        """Outcomes that have arrived, at least one unless nothing is queued or time is up.

        Raises:
            Exception: whatever the evaluator's factory raised; the worker's traceback is its
                cause.
            UserError: when workers die again and again while they load the model.
            ClusterLost: when Ray itself has gone.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._pending and not self._done:
                self._advance(end)
            if self._done or not self._pending or (end is not None and time.monotonic() >= end):
                outcomes, self._done = self._done, []
                return outcomes

    def limit(self, most: int) -> None:
        """Machines that join get workers up to so many in all; those that are there stay."""
        self._most = min(self._most, most)

    def close(self) -> None:
        """Kill the workers, give their room back and stop Ray if we started it."""
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        if self._lost:
            abandon()
            return
        try:
            if ray.is_initialized():
                for slot in self._slots:
                    slot.kill()
                for group in self._groups:
                    ray.util.remove_placement_group(group)
        finally:
            if self._owns_ray:
                ray.shutdown()

    @property
    def _pending(self) -> bool:
        return not self._closed and bool(self._queue or any(slot.job for slot in self._slots))

    def _add(self, count: int) -> None:
        """More workers, in a group of their own."""
        group = reserve(count, **self._share)
        self._groups.append(group)
        for bundle in range(count):
            slot = _Slot(len(self._slots), group=group, bundle=bundle)
            self._slots.append(slot)
            self._start(slot)

    def _look(self) -> None:
        """Now and then: is Ray there, and has a machine joined it?"""
        if time.monotonic() < self._next_look:
            return
        self._require_ray()
        new = self._arrivals.take() if self._grows else []
        if new:
            room = min(room_on(new, **self._share), free_room(**self._share))
            more = int(min(room, self._most - len(self._slots)))
            if more > 0:
                with contextlib.suppress(UserError):  # others were faster
                    self._add(more)
                    _log.warning("workers: a machine has joined: %d more, %d now", more, self.size)
        self._next_look = time.monotonic() + _LOOK

    def _require_ray(self) -> None:
        try:
            self._pulse.require()
        except ClusterLost:
            self._lost = True
            raise

    def _start(self, slot: "_Slot") -> None:
        """Start a worker afresh; until its model is built, the slot is busy without a job."""
        slot.kill()
        strategy = PlacementGroupSchedulingStrategy(slot.group, slot.bundle)
        cpus, gpus = self._share["cpus"], self._share["gpus"]
        actor = ray.remote(_Worker).options(
            max_restarts=0, scheduling_strategy=strategy, num_cpus=cpus, num_gpus=gpus
        )
        slot.actor = actor.remote(self._factory, slot.name, gpus > 0)
        slot.begin(slot.actor.prepare.remote(), job=None, limit=None)

    def _dispatch(self) -> None:
        while self._queue:
            idle = [slot for slot in self._slots if slot.ref is None]
            if not idle:
                return
            # Who submits more than this at once is in no hurry.
            waiting = list(itertools.islice(self._queue, 2 * len(self._slots)))
            task, worker = waiting_choice(waiting, [slot.seen for slot in idle])
            job, slot = waiting[task], idle[worker]
            self._queue.remove(job)
            slot.seen.add(job.keys)
            slot.begin(slot.actor.run.remote(job.task), job=job, limit=self._limit(job.task))

    def _limit(self, task: Task) -> float | None:
        """Seconds that a task may take, if there is a limit."""
        if self._time_limit is None:
            return None
        return self._time_limit * max(1.0, task.nominal / self._limited_cost)

    def _advance(self, end: float | None) -> None:
        """Wait for something to happen, until ``end`` or the first time limit; deal with it."""
        busy = {slot.ref: slot for slot in self._slots if slot.ref is not None}
        ends = [slot.deadline for slot in busy.values() if slot.deadline is not None]
        ends += [] if end is None else [end]
        pause = max(0.0, min([*ends, self._next_look]) - time.monotonic())
        refs = list(busy)
        try:
            ready, rest = ray.wait(refs, num_returns=1, timeout=pause)
            if ready and rest:
                ready, rest = ray.wait(refs, num_returns=len(refs), timeout=0)
        except ray.exceptions.RayError:
            self._require_ray()
            raise
        for ref in ready:
            self._collect(busy[ref])
        for ref in rest:
            slot = busy[ref]
            if slot.deadline is not None and time.monotonic() >= slot.deadline:
                self._retry(slot, slot.job, f"ran for longer than {slot.limit:g} s", "time")
        self._dispatch()
        self._look()

    def _collect(self, slot: "_Slot") -> None:
        # The slot is freed last, so that an interrupt in between loses nothing.
        job = slot.job
        try:
            result = ray.get(slot.ref)
        except ray.exceptions.RayTaskError as error:
            slot.finish()
            raise error.cause from error
        except ray.exceptions.UnserializableException as error:
            slot.finish()
            raise RuntimeError("the evaluator raised what cannot be sent here") from error
        except ray.exceptions.RayError as error:
            self._require_ray()
            if not isinstance(error, _LOST):
                raise
            if job is None and (cause := _start_error(error)) is not None:
                raise UserError(
                    f"workers: none can start ({cause}); every machine needs the packages and "
                    "files that this one has"
                ) from error
            if _machine_left(error) and (job is None or job.moves < _MOVES):
                self._move(slot, job)
            else:
                self._retry(slot, job, f"worker died: {_exit_detail(error)}", "worker")
            return
        if job is not None and result.failure == "raised":
            self._retry(slot, job, result.reason, "raised")
            return
        if job is None:
            slot.failures = 0
        else:
            self._done.append(_owned(result))
        slot.finish()

    def _move(self, slot: "_Slot", job: "_Queued | None") -> None:
        """Start a worker anew whose machine has gone, and give its task to another worker."""
        if job is not None:
            job.moves += 1
            self._queue.appendleft(job)
        again = "" if job is None else "; what it was evaluating is evaluated again"
        _log.warning("workers: %s has left with its machine%s", slot.name, again)
        self._start(slot)

    def _retry(self, slot: "_Slot", job: "_Queued | None", reason: str, failure: Failure) -> None:
        """Start the worker again, and let its task run again unless it had its chances."""
        if job is None:
            slot.failures += 1
            if slot.failures > self._max_retries:
                raise UserError(
                    f"workers: one failed {slot.failures} times in a row loading the model "
                    f"({reason}); try fewer workers (workers.count) or a smaller model"
                )
        else:
            job.failures += 1
            most = self._max_retries if failure != "raised" else ATTEMPTS - 1
            if job.failures <= most:
                self._queue.appendleft(job)
                _log.warning("workers: %s: %s; its evaluation is begun again", slot.name, reason)
            else:
                cost = job.task.nominal
                reason = f"{reason} ({job.failures} times)"
                self._done.append(
                    Outcome(
                        job.task.id,
                        reason=reason,
                        failure=failure,
                        forward_equivalents=cost,
                        worker=slot.name,
                    )
                )
        self._start(slot)


class _Worker:
    """The Ray actor: an evaluator in a process of its own."""

    def __init__(self, factory: EvaluatorFactory, name: str, device: bool) -> None:
        show_devices(ray.get_gpu_ids() if device else [])
        self._runner = Runner(factory, name=name, owns_process=True)

    def prepare(self) -> None:
        self._runner.prepare()

    def run(self, task: Task) -> Outcome:
        return self._runner.run(task)


@dataclass(eq=False, kw_only=True)
class _Queued(Waiting):
    task: Task
    failures: int = 0
    moves: int = 0


@dataclass
class _Slot:
    """A worker's place: ``ref`` is what it is doing, ``job`` None while it builds its model."""

    index: int
    group: Any
    bundle: int
    actor: Any = None
    ref: Any = None
    job: _Queued | None = None
    deadline: float | None = None
    limit: float = math.inf
    failures: int = 0
    seen: Seen = field(default_factory=Seen)

    @property
    def name(self) -> str:
        return f"ray-{self.index}"

    def begin(self, ref: Any, *, job: _Queued | None, limit: float | None) -> None:
        self.ref, self.job = ref, job
        self.limit = math.inf if limit is None else limit
        self.deadline = None if limit is None else time.monotonic() + limit

    def finish(self) -> None:
        self.ref = self.job = self.deadline = None

    def kill(self) -> None:
        self.finish()
        if self.actor is not None:
            ray.kill(self.actor)
            self.actor = None
            self.seen = Seen()


def _owned(outcome: Outcome) -> Outcome:
    """With rows of its own: those from Ray are read-only and lie in its shared memory."""
    rows = {name: np.array(array) for name, array in outcome.rows.items()}
    return dataclasses.replace(outcome, rows=rows)


def _machine_left(error: Exception) -> bool:
    return isinstance(error, ray.exceptions.NodeDiedError) or "node has died" in str(error)


def _start_error(error: Exception) -> str | None:
    """The line that says why a worker's own start raised; None where it ended in another way."""
    if not getattr(error, "actor_init_failed", False):
        return None
    lines = [line.strip() for line in str(error).splitlines()]
    return one_line([line for line in lines if line][-1])


def _exit_detail(error: Exception) -> str:
    """The sentence of Ray's long message that says how the worker ended."""
    found = re.search(r"Worker exit detail: (.*?)\.\s", str(error), re.DOTALL)
    return one_line(found.group(1) if found else error)
