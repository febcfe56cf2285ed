"""Timing plans on a worker while nothing else runs there."""

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.workers.base import Executor, Outcome, Task
from autosearch.engine.workers.measure_latency import latency_table
from autosearch.errors import UserError
from autosearch.models.base import Model

__all__ = ["measured_table", "timed"]

# After one to warm up; ECAD measures as many. A table takes the fastest of fewer.
_RUNS = 5
_TABLE_RUNS = 3


def timed(executor: Executor, plan: Plan, *, block_size: int, runs: int = _RUNS) -> Outcome:
    """Sample one seed block again and again; rows of ``latency`` [runs], seconds of one sample.

    The executor must have nothing else to do.
    """
    needs = frozenset({"latency"})
    executor.submit(Task(0, plan, 0, Stream.CALIBRATION, (0,) * runs, block_size, needs))
    outcomes: list[Outcome] = []
    while not outcomes:
        outcomes = list(executor.wait())
    return outcomes[0]


def measured_table(executor: Executor, model: Model) -> tuple[LatencyTable, float]:
    """A model's table of latencies, and what measuring it cost in forward equivalents.

    Raises:
        UserError: when a plain recipe cannot be run.
    """
    spent = 0.0

    def seconds(plan: Plan) -> float:
        nonlocal spent
        outcome = timed(executor, plan, block_size=model.block_size, runs=_TABLE_RUNS)
        if outcome.reason is not None:
            raise UserError(f"latency: a plain recipe cannot be timed: {outcome.reason}")
        spent += outcome.forward_equivalents
        # Whatever disturbs a run makes it longer.
        return float(outcome.rows["latency"].min())

    return latency_table(model.denoiser, seconds), spent
