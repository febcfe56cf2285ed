"""What an experiment would take, from one measured candidate; writes nothing."""

import functools
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.experiment import Experiment
from autosearch.fits.names import check_name, fit_forwards
from autosearch.latency import LatencyTable
from autosearch.measure import Measure, Rows
from autosearch.pace import proposal_seconds
from autosearch.plan import Plan
from autosearch.problem import Problem
from autosearch.reference import REFERENCES, TEACHER
from autosearch.session import STORE_BYTES
from autosearch.spaces.base import Family
from autosearch.workers import Task
from autosearch.workers.evaluator import ModelEvaluator
from autosearch.workers.inprocess import Runner

__all__ = ["dry_run"]

_REPEATS = 3
# Random recipes whose mean cost stands for the search's.
_DRAWS = 100
# Of each cost, validation measures the front, the next two and up to three baselines.
_SEARCHED_PER_COST = 3
_BASELINES_PER_COST = 3
# Seconds for front, plots and samples, and until actors of Ray are up and down again; two cores.
_WRITING = 1.2
_RAY = 12.0
# Bytes of the journal for a candidate: its steps, its pseudo-values and the lines' frames.
_JOURNAL_BASE = 2500
_JOURNAL_STEP = 90


@dataclass(frozen=True)
class _Timing:
    """What one measured candidate says."""

    name: str
    seconds_per_unit: float  # per forward equivalent, in one worker
    scoring: float  # from rows to values, on the search's samples
    checking: float  # the same on the validation's samples, with what is only reported
    row_bytes: float  # per sample
    peak_bytes: int | None  # of the device's memory, where it has its own


def dry_run(experiment: Experiment, *, start: float = 0.0) -> dict[str, Any]:
    """Sizes, counts and predicted times as plain data.

    One baseline of middle cost is evaluated on one seed block; its time is scaled by what other
    plans cost. Objectives that need rows are scored on that block's rows, repeated. The algorithm
    proposes for a while on made-up values. What fits take is their own estimate, and what reuse
    and races may save is not foreseen.

    Args:
        start: seconds until a run begins to work, which are added.

    Raises:
        UserError: for everything that would also stop the search.
    """
    problem = Problem(experiment)
    problem.know_latency(LatencyTable(evaluation=1.0, branch=1.0))  # scored in no time
    most = problem.make_algorithm().most_candidates
    known = _known(problem)
    if not known:
        raise UserError("baselines: none can be encoded by the space and keeps the constraints")
    timing = _measured(problem, known)
    samples = experiment.samples if problem.measure.needs else 0
    plans = list(known.values())
    mean_cost = fmean(_random_costs(problem, samples))
    baseline_cost = sum(plan.cost(samples) for plan in plans)
    fits = fit_forwards(problem.fitted_names, problem.denoiser)
    setup = _setup_cost(problem, samples) + fits
    candidates = _candidates(
        experiment,
        timing,
        baseline_cost=baseline_cost,
        baselines=len(plans),
        mean_cost=mean_cost,
        setup=setup,
    )
    candidates = candidates if most is None else min(candidates, most)
    asked = candidates - len(plans)
    search_cost = baseline_cost + asked * mean_cost
    checked, check_cost = _validation(problem, plans)
    workers = _workers(experiment)
    proposing = proposal_seconds(problem, most=asked)
    scoring = timing.scoring * candidates + timing.checking * checked + proposing * asked
    sampling = timing.seconds_per_unit * (setup + search_cost + check_cost)
    return {
        "model": _model(problem),
        "space": _space(problem),
        "baselines": {
            "count": len(plans),
            "forward_equivalents": baseline_cost,
            "fitted": len(problem.fitted_names),
            # What their fits take, which is part of the setup.
            "fits": fits,
        },
        "candidate": {
            "measured": timing.name,
            "seconds": timing.seconds_per_unit * mean_cost + timing.scoring,
            "forward_equivalents": mean_cost,
            "proposing_seconds": proposing,
        },
        "candidates": candidates,
        "validated": checked,
        "forward_equivalents": {
            "setup": setup,
            "search": search_cost,
            "validation": check_cost,
        },
        "workers": workers,
        "seconds": start + _elapsed(sampling, scoring, workers) + _overhead(experiment),
        "memory_bytes": {
            # States, predictions and stored features of a batch; weights and activations besides.
            "declared": max(plan.memory for plan in plans) * problem.seed_block,
            "peak": timing.peak_bytes,
        },
        "disk_bytes": round(_disk(problem, timing, candidates, checked, plans)),
    }


def _known(problem: Problem) -> dict[str, Plan]:
    """The baselines' plans by name; of those to be fitted the plans before that."""
    plans = {found.name: found.plan for found in problem.baselines}
    for name in problem.fitted_names:
        plans[name] = problem.compile(baseline(check_name(name).unfitted, problem.denoiser))
    return plans


def _measured(problem: Problem, plans: Mapping[str, Plan]) -> _Timing:
    """The middle baseline on one seed block, at its fastest: the first run warms up."""
    ranked = sorted(plans, key=lambda name: (plans[name].macs, name))
    middle = ranked[len(ranked) // 2]
    plan = plans[middle]
    workers = problem.experiment.workers
    device = "cuda" if workers.gpus > 0 else "cpu"
    # As a worker runs it, with one thread.
    runner = Runner(functools.partial(ModelEvaluator, problem.spec, device=device), name="dry run")
    size = problem.seed_block
    needs = problem.report_measure.needs
    task = Task(0, plan, 0, Stream.SEARCH, (0,), size, needs)
    outcomes = [runner.run(task) for _ in range(_REPEATS)]
    best = min(outcomes, key=lambda outcome: outcome.seconds)
    if best.reason is not None:
        raise UserError(f"{middle}: cannot be measured: {best.reason}")
    seconds = best.seconds / best.forward_equivalents if best.forward_equivalents else 0.0
    row_bytes = sum(array.nbytes for array in best.rows.values()) / size
    block = best.rows
    experiment = problem.experiment
    return _Timing(
        middle,
        seconds,
        _scoring(problem.measure, plan, block, experiment.samples, size),
        _scoring(problem.report_measure, plan, block, experiment.validation.samples, size),
        row_bytes,
        torch.cuda.max_memory_allocated() if device == "cuda" else None,
    )


def _scoring(measure: Measure, plan: Plan, block: Rows, samples: int, size: int) -> float:
    """Seconds from rows to values of so many samples: one block's rows, repeated."""
    if not measure.needs:
        return 0.0
    rows = {name: np.concatenate([array] * (samples // size)) for name, array in block.items()}
    teacher = rows.get("final") if measure.needs_teacher else None
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        measure.estimates(plan, rows, samples=samples, teacher=teacher)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _random_costs(problem: Problem, samples: int) -> list[float]:
    """Forward equivalents of random recipes that keep the constraints, training included."""
    rng = np.random.default_rng(0)
    genomes = [problem.space.sample(rng) for _ in range(_DRAWS)]
    plans = [problem.compile(problem.space.decode(genome)) for genome in genomes]
    kept = [plan for plan in plans if problem.violation(plan) is None]
    return [plan.cost(samples) for plan in kept or plans]


def _setup_cost(problem: Problem, samples: int) -> float:
    """The reference, where none is shipped, and its and the search's teacher where one is needed.

    All of it counts against the budget.
    """
    checked = problem.experiment.validation.samples if problem.report_measure.needs else 0
    names: list[str] = []
    if "reference" not in problem.model.figures:
        names += REFERENCES
        if problem.report_measure.needs_teacher:
            names.append(TEACHER)
    cost = checked * sum(_cost_of(problem, name) for name in names)
    if problem.measure.needs_teacher:
        cost += samples * _cost_of(problem, TEACHER)
    return cost


def _cost_of(problem: Problem, name: str) -> float:
    return problem.compile(baseline(name, problem.denoiser)).forward_equivalents


def _candidates(
    experiment: Experiment,
    timing: _Timing,
    *,
    baseline_cost: float,
    baselines: int,
    mean_cost: float,
    setup: float,
) -> int:
    """Distinct plans that the budget pays for, baselines included."""
    budget = experiment.budget
    counts = []
    if budget.candidates is not None:
        counts.append(float(budget.candidates))
    if budget.forward_equivalents is not None and mean_cost > 0:
        left = budget.forward_equivalents - setup - baseline_cost
        counts.append(baselines + max(0.0, left / mean_cost))
    if budget.hours is not None:
        workers = _workers(experiment)
        each = _elapsed(timing.seconds_per_unit * mean_cost, timing.scoring, workers)
        counts.append(3600 * budget.hours / max(each, 1e-4))
    return math.floor(min(counts, default=0.0))


def _validation(problem: Problem, plans: Sequence[Plan]) -> tuple[int, float]:
    """How many recipes are measured again, and what that costs."""
    if not problem.report_measure.needs:
        return 0, 0.0
    groups: dict[int, int] = {}
    for plan in plans:
        groups[plan.nfe] = groups.get(plan.nfe, 0) + 1
    count, cost = 0, _cost_of(problem, TEACHER) if problem.report_measure.needs_teacher else 0.0
    for nfe, baselines in groups.items():
        chosen = _SEARCHED_PER_COST + min(_BASELINES_PER_COST, baselines)
        count += chosen
        cost += chosen * nfe
    return count, cost * problem.experiment.validation.samples


def _workers(experiment: Experiment) -> int:
    """Workers that will evaluate; ``auto`` fills this machine's processors."""
    workers = experiment.workers
    if workers.executor == "inprocess":
        return 1
    if workers.count != "auto":
        return workers.count
    room = max(1, int((os.cpu_count() or 1) / max(workers.cpus, 1e-9)))
    return min(room, experiment.lag) if experiment.order == "fixed" else room


def _elapsed(sampling: float, scoring: float, workers: int) -> float:
    """Seconds: workers sample while this process scores, on this machine's processors."""
    if workers == 1:
        return sampling + scoring
    processors = min(workers + 1, os.cpu_count() or 1)
    return max(sampling / workers, scoring, (sampling + scoring) / processors)


def _overhead(experiment: Experiment) -> float:
    """Seconds for what no measurement scales with."""
    workers = experiment.workers
    return _WRITING + (0.0 if workers.executor == "inprocess" else _RAY)


def _disk(
    problem: Problem, timing: _Timing, candidates: int, checked: int, plans: Sequence[Plan]
) -> float:
    experiment = problem.experiment
    rows = timing.row_bytes * (
        candidates * experiment.samples + checked * experiment.validation.samples
    )
    steps = fmean(plan.nfe for plan in plans)
    return candidates * (_JOURNAL_BASE + _JOURNAL_STEP * steps) + min(rows, STORE_BYTES)


def _model(problem: Problem) -> dict[str, Any]:
    denoiser = problem.denoiser
    return {
        "name": problem.spec.name,
        "family": denoiser.schedule.family,
        "schedule": denoiser.schedule.name,
        "prediction": denoiser.prediction,
        "classes": denoiser.classes,
        "branches": list(denoiser.conditions),
        "sites": [site.name for site in denoiser.sites],
        "heads": dict(denoiser.heads),
        "macs": denoiser.macs,
    }


def _space(problem: Problem) -> dict[str, Any]:
    families = [_family(family) for family in problem.space.families]
    sizes = [family["dimensions"] for family in families]
    return {
        "families": families,
        "dimensions": None if None in sizes else sum(sizes),
    }


def _family(family: Family) -> dict[str, Any]:
    box = family.box()
    return {
        "name": family.name,
        "summary": family.summary,
        "fields": list(family.fields),
        "dimensions": len(box) if box else None,
    }
