"""Timing plans on a worker while nothing else runs there, and a model's latency table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sites.sites import Site
from autosearch.engine.workers.base import Executor, Outcome, TimingTask
from autosearch.errors import Unmeasured, UserError
from autosearch.models.base import Model
from autosearch.recipe import Recipe

__all__ = ["latency_table", "measure_latency_table", "time_plan"]

# After one to warm up; ECAD measures as many. A table takes the fastest of fewer.
_RUNS = 5
_TABLE_RUNS = 3
# The plain recipe whose variations are timed for a table.
_STEPS = 6
_BASE = f"ddim@{_STEPS}"
_ORDERS = (0, 1, 2, 3, 4)
_CFG = {"rule": "cfg", "scale": 2.0}

# Seconds of one sample under a plan, measured alone.
Timer = Callable[[Plan], float]


def time_plan(executor: Executor, plan: Plan, *, block_size: int, runs: int = _RUNS) -> Outcome:
    """Sample one seed block again and again; rows of ``latency`` [runs], seconds of one sample.

    The executor must have nothing else to do.
    """
    executor.submit(TimingTask(0, plan, runs, block_size))
    outcomes: list[Outcome] = []
    while not outcomes:
        outcomes = list(executor.wait())
    return outcomes[0]


def measure_latency_table(executor: Executor, model: Model) -> tuple[LatencyTable, float]:
    """A model's table of latencies, and what measuring it cost in forward equivalents.

    Raises:
        UserError: when a plain recipe cannot be run.
    """
    spent = 0.0

    def seconds(plan: Plan) -> float:
        nonlocal spent
        outcome = time_plan(executor, plan, block_size=model.block_size, runs=_TABLE_RUNS)
        if outcome.failure is not None:
            raise Unmeasured(
                f"latency: a plain recipe was not timed: {outcome.reason}; try again with "
                "--resume, or change workers"
            )
        if outcome.reason is not None:
            raise UserError(f"latency: a plain recipe cannot be timed: {outcome.reason}")
        spent += outcome.forward_equivalents
        # Whatever disturbs a run makes it longer.
        return float(outcome.rows["latency"].min())

    return latency_table(model.denoiser, seconds), spent


def latency_table(denoiser: Denoiser, seconds: Timer) -> LatencyTable:
    """A model's table of latencies, from the seconds of a few plain plans.

    Sites of one size are taken to cost the same: all of a kind are left out together, which is
    measured better than any one of them.
    """
    whole = seconds(_plan(denoiser))
    evaluation = whole / _STEPS
    guided = _plan(denoiser, guidance=_CFG) if "uncond" in denoiser.conditions else None
    # On a busy machine more may seem to take less.
    more = whole if guided is None else max(seconds(guided) - whole, 0.0)
    branch = evaluation if guided is None else more / _STEPS
    saved: dict[str, float] = {}
    for kind in _kinds(denoiser.sites):
        skipped = seconds(_plan(denoiser, dict.fromkeys(kind, "skip")))
        saved |= dict.fromkeys(kind, (whole - skipped) / _STEPS / len(kind))
    table = LatencyTable(evaluation, branch, saved)
    return LatencyTable(evaluation, branch, saved, _features(denoiser, table, seconds))


def _features(denoiser: Denoiser, table: LatencyTable, seconds: Timer) -> dict[int, float]:
    """From the parts of all blocks, or whatever is innermost, made up for at most steps."""
    kinds = _kinds(denoiser.sites)
    if not kinds:
        return {}
    names = min(kinds, key=lambda kind: table.sites[kind[0]])
    elements = sum(site.elements for site in denoiser.sites if site.name in names)
    seconds_per_element: dict[int, float] = {}
    for order in _ORDERS:
        action = f"forecast:{order}"
        plan = _plan(denoiser, dict.fromkeys(names, action), computed=order + 1)
        acting = _STEPS - order - 1
        without = table.seconds(plan, denoiser.sites)
        seconds_per_element[order] = max((seconds(plan) - without) / acting / elements, 0.0)
    return seconds_per_element


def _kinds(sites: Sequence[Site]) -> list[list[str]]:
    """Names of the sites that are alike, kind by kind."""
    kinds: dict[tuple[object, ...], list[str]] = {}
    for site in sites:
        key = (site.macs, site.elements, site.residual, site.parent is None)
        kinds.setdefault(key, []).append(site.name)
    return list(kinds.values())


def _plan(
    denoiser: Denoiser,
    sites: Mapping[str, str] | None = None,
    *,
    computed: int = 0,
    guidance: Mapping[str, Any] | None = None,
) -> Plan:
    """A plain recipe with these actions at every step but the first few."""
    data = baseline(_BASE, denoiser).to_dict()
    for i, step in enumerate(data["steps"]):
        if sites and i >= computed:
            step["sites"] = dict(sites)
        if guidance:
            step["guidance"] = dict(guidance)
    return compile_recipe(Recipe.from_dict(data), denoiser)
