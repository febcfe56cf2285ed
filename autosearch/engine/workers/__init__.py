"""Executors: this process, or Ray actors. Ray is imported only when it is used."""

import importlib.util
import logging
import math
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from autosearch.engine.workers.base import EvaluatorFactory, Executor
from autosearch.engine.workers.devices import check_device
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import UserError, unknown_name
from autosearch.experiment import Workers

__all__ = ["make_executor", "runs_here"]

_VARIABLE = "AUTOSEARCH_EXECUTOR"
_KINDS = ("auto", "inprocess", "ray")

_log = logging.getLogger(__name__)


def runs_here(workers: Workers) -> bool:
    """Whether an experiment's ``workers`` are one, in this process; see :func:`make_executor`."""
    return _in_process(
        workers.executor,
        alone=workers.count == 1 and workers.address is None and workers.time_limit is None,
    )


def _in_process(kind: str, *, alone: bool) -> bool:
    chosen = os.environ.get(_VARIABLE) or kind
    if chosen not in _KINDS:
        raise unknown_name("executor", chosen, _KINDS, where=_VARIABLE)
    return chosen == "inprocess" or (chosen == "auto" and (alone or not _has_ray()))


def _has_ray() -> bool:
    return importlib.util.find_spec("ray") is not None


def make_executor(
    factory: EvaluatorFactory,
    *,
    count: int | Literal["auto"],
    most: int | None = None,
    cpus: float,
    gpus: float,
    kind: Literal["auto", "inprocess", "ray"] = "auto",
    time_limit: float | None = None,
    limited_cost: float = math.inf,
    address: str | None = None,
) -> Executor:
    """The executor for an experiment's ``workers``.

    ``auto`` is Ray, except for a single worker without an address or a time limit, and where Ray
    is not installed: then it is this process. AUTOSEARCH_EXECUTOR in the environment overrides
    ``kind``. As many workers as there is room for (``count`` auto) are never above ``most``. This
    process knows one worker and no time limit; it says so when asked for more. ``time_limit`` is
    the seconds for a task of ``limited_cost`` forward equivalents or fewer, and grows with a task's
    cost beyond that.

    Raises:
        UserError: for an unknown kind, or workers for which there is no room.
    """
    alone = count == 1 and address is None and time_limit is None
    if _in_process(kind, alone=alone):
        if count not in (1, "auto") or time_limit is not None or address is not None:
            _log.warning("workers: one, in this process, without a time limit: Ray is not used")
        if gpus > 0:
            check_device("cuda")
        return InProcessExecutor(factory)
    if not _has_ray():
        raise UserError("workers: Ray is not installed; pip install 'ray[tune]', or use inprocess")
    with _own_signals():
        from autosearch.engine.workers.ray_pool import RayExecutor

        return RayExecutor(
            factory,
            count=count,
            most=most,
            num_cpus=cpus,
            num_gpus=gpus,
            time_limit=time_limit,
            limited_cost=limited_cost,
            address=address,
        )


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray makes SIGTERM end the program at once when it starts: give it back to its owner."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
