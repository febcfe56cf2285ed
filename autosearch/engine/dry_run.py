"""What an experiment would cost and take, from a few measured plans; writes nothing."""

import contextlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from autosearch._typing import Rows
from autosearch.algorithms.base import Proposal, Result
from autosearch.baselines.fitted.names import check_name, fit_forwards
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.threads import one_thread
from autosearch.engine.border import third_party
from autosearch.engine.check import advice, check_run
from autosearch.engine.measure import Measure
from autosearch.engine.prepared import (
    continued,
    fitted_names,
    make_baselines,
    settle_baselines,
)
from autosearch.engine.problem import Problem
from autosearch.engine.reference import setup_cost, teacher_cost
from autosearch.engine.run import check_resume
from autosearch.engine.session import STORE_BYTES
from autosearch.engine.teacher import Teacher
from autosearch.engine.workers import runs_here
from autosearch.engine.workers.base import Outcome, SampleTask
from autosearch.engine.workers.collect import require
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import Runner
from autosearch.errors import Infeasible, UserError, located
from autosearch.experiment import Experiment
from autosearch.study.journal import check_free, holds_study
from autosearch.study.study import Study

__all__ = ["dry_run"]

_REPEATS = 3
# Seconds for front, plots and samples, and until actors of Ray are up and down again; two cores.
_WRITING = 1.2
_RAY = 9.0
# Bytes of the journal for a candidate: its steps, its pseudo-values and the lines' frames.
_JOURNAL_BASE = 2500
_JOURNAL_STEP = 90
# Random recipes whose mean cost stands for the search's.
_DRAWS = 100
# Of each cost, validation measures the front, the next two and up to three baselines.
_SEARCHED_PER_COST = 3
_BASELINES_PER_COST = 3
# No candidate takes less than this, in seconds.
_SHORTEST = 1e-4
# How long, in seconds, random recipes are timed and the algorithm proposes on made-up values, and
# how often it does.
_MOST_SECONDS = 2.0
_MOST_PROPOSALS = 100
# A process that gets less than this of a processor shares it.
_WHOLE_SHARE = 0.9
# What is scored on trial takes no more.
_SCORED_BYTES = 2**25
_NOTHING_SEARCHED = (
    "setup and baselines use up the budget, and nothing is searched; raise it, or name fewer "
    "baselines"
)


@dataclass(frozen=True)
class _Costs:
    """Counts, and costs in forward equivalents; what reuse and races may save is not estimated."""

    plans: dict[str, Plan]  # the baselines' by name; of those to be fitted the plans before that
    typical: dict[str, Plan]  # the same, or a random recipe's where there are none
    drawn: tuple[Plan, ...]  # of random recipes, which search differs from baselines in
    baselines: float  # of measuring them all
    mean: float  # of a candidate
    setup: float  # what counts against the budget before the first candidate, fits included
    validated: int  # at most so many recipes are measured again, were there candidates enough
    validation: float  # what that costs
    teacher: float  # what the validation's teacher costs besides


@dataclass(frozen=True)
class _Timing:
    """The times and sizes that one measured candidate gives."""

    name: str
    seconds_per_unit: float  # per forward equivalent, in one worker
    seconds_per_searched: float  # the same of random recipes
    scoring: float  # from rows to values, on the search's samples
    checking: float  # the same on the validation's samples, with what is only reported
    row_bytes: float  # per sample
    peak_bytes: int | None  # of the device's memory, where it has its own


@one_thread()  # as a run: beside its workers, or others, more threads only wait
def dry_run(
    experiment: Experiment,
    *,
    start: float = 0.0,
    out: Path | None = None,
    resume: bool = False,
    source: str = "",
) -> dict[str, Any]:
    """Sizes, counts and predicted times as plain data.

    One baseline of middle cost and some random recipes are evaluated on one seed block; their times
    are scaled by what other plans cost. Objectives that need rows are scored on that block's rows,
    repeated. The algorithm proposes for a while on made-up values. What fits take is their own
    estimate, and what reuse and races may save is not estimated.

    Args:
        experiment: what would be searched.
        start: processor time until a run begins to work, which is added.
        out: where the study would be; not looked at by default.
        resume: whether the study there would go on.
        source: what the experiment is called in messages about what stands there.

    Raises:
        UserError: for everything that would also stop the search, but for a study that is there
            already: what another one would take is all the same, and the advice names it.
    """
    with located(source):
        problem = Problem.of(experiment)
    taken = out is not None and not resume and holds_study(out)
    if out is not None and resume:
        study = Study.read(out)
        check_resume(out, study, problem)
        problem = continued(problem, study)
    elif out is not None and not taken:
        check_free(out)
    with located(source):
        problem, beyond = settle_baselines(problem)
        check_run(problem, resuming=resume)
    clock = _Clock()
    costs = _estimate_costs(problem)
    timing = _time_plans(problem, costs)
    workers = _workers(experiment)
    sampling = timing.seconds_per_searched * costs.mean
    # Where a device computes, waiting for it says nothing of others.
    rivals = 0.0 if experiment.workers.gpus else clock.rivals()
    each = _elapsed(sampling, timing.scoring, workers, rivals)
    candidates = _candidates(problem, costs, seconds=each)
    asked = max(candidates - len(costs.plans), 0)
    # Where the budget ends among the baselines, about their share.
    share = min(candidates / len(costs.plans), 1) if costs.plans else 0.0
    searching = costs.baselines * share + asked * costs.mean
    proposing = _proposal_seconds(problem, most=asked)
    validated = min(costs.validated, candidates)
    validation = costs.teacher + costs.validation * validated / max(costs.validated, 1)
    scoring = timing.scoring * candidates + timing.checking * validated + proposing * asked
    # What no measurement scales with.
    overhead = _WRITING + (0.0 if runs_here(experiment.workers) else _RAY)
    seconds = timing.seconds_per_unit * (costs.setup + costs.baselines * share)
    seconds += timing.seconds_per_searched * (asked * costs.mean + validation)
    whole = _elapsed(seconds, scoring, workers, rivals)
    alone = (start + overhead) / _share(1, rivals)
    place = [f"{out} holds a study: run with --resume, or another --out"] if taken else []
    return {
        "model": _model(problem),
        "space": _space(problem),
        "baselines": {
            "count": len(costs.plans),
            "forward_equivalents": costs.baselines,
            "fitted": len(fitted_names(problem)),
            # What their fits take, which is part of the setup.
            "fits": fit_forwards(fitted_names(problem), problem.denoiser),
        },
        "default_baselines": experiment.baselines is None,
        "advice": "; ".join([*place, *_advice(problem, timing, asked, beyond)]) or None,
        "candidate": {
            "measured": timing.name,
            "seconds": sampling + timing.scoring,
            "forward_equivalents": costs.mean,
            "proposing_seconds": proposing,
        },
        "candidates": candidates,
        "validated": validated,
        "forward_equivalents": {
            "setup": costs.setup,
            "search": searching,
            "validation": validation,
        },
        "workers": workers,
        "seconds": whole + alone,
        "memory_bytes": {
            # States, predictions and stored features of a batch; weights and activations besides.
            "declared": max(plan.memory for plan in costs.typical.values()) * problem.seed_block,
            "peak": timing.peak_bytes,
        },
        "disk_bytes": round(_disk(experiment, timing, costs, candidates, validated)),
    }


def _estimate_costs(problem: Problem) -> _Costs:
    plans = {one.name: one.plan for one in make_baselines(problem, {})}
    for name in fitted_names(problem):
        plans[name] = problem.named_plan(check_name(name).unfitted)
    samples = problem.experiment.samples if problem.measure.needs else 0
    rng = np.random.default_rng(0)
    drawn = [problem.random_plan(rng) for _ in range(_DRAWS)]
    kept = [plan for plan in drawn if problem.violation(plan) is None]
    typical = plans or {"a random recipe": (kept or drawn)[0]}
    validated, validation, taught = _validation(problem, typical)
    return _Costs(
        plans=plans,
        typical=typical,
        drawn=tuple(kept or drawn),
        baselines=sum(plan.cost(samples) for plan in plans.values()),
        mean=fmean(plan.cost(samples) for plan in kept or drawn),
        setup=setup_cost(problem),
        validated=validated,
        validation=validation,
        teacher=taught,
    )


def _validation(problem: Problem, plans: Mapping[str, Plan]) -> tuple[int, float, float]:
    """How many recipes are measured again at most, what that costs, and what their teacher does."""
    if not problem.report_measure.needs:
        return 0, 0.0, 0.0
    groups: dict[int, int] = {}
    for plan in plans.values():
        groups[plan.nfe] = groups.get(plan.nfe, 0) + 1
    chosen = {n: _SEARCHED_PER_COST + min(_BASELINES_PER_COST, k) for n, k in groups.items()}
    cost = float(sum(nfe * count for nfe, count in chosen.items()))
    taught = teacher_cost(problem) if problem.report_measure.needs_teacher else 0.0
    samples = problem.experiment.validation.samples
    return sum(chosen.values()), cost * samples, taught * samples


def _candidates(problem: Problem, costs: _Costs, *, seconds: float) -> int:
    """Distinct plans that the budget pays for, baselines included, of so many seconds each."""
    budget, most = problem.experiment.budget, problem.make_algorithm().most_candidates
    counts = [float(count) for count in (most, budget.candidates) if count is not None]
    if budget.forward_equivalents is not None and costs.mean > 0:
        left = budget.forward_equivalents - costs.setup
        samples = problem.experiment.samples if problem.measure.needs else 0
        spent = np.cumsum([plan.cost(samples) for plan in costs.plans.values()])
        afforded = int((spent <= left).sum())
        more = (left - costs.baselines) / costs.mean if afforded == len(spent) else 0.0
        counts.append(afforded + more)
    if budget.hours is not None:
        counts.append(3600 * budget.hours / max(seconds, _SHORTEST))
    return math.floor(min(counts, default=0.0))


def _proposal_seconds(problem: Problem, *, most: int) -> float:
    """Processor time of a proposal, its plan included; 0 where there is none.

    The algorithm is told made-up values that are smooth in the times, as a quality is: of the
    baselines, then of what it proposes. The mean is over the second half of the proposals.
    """
    algorithm = problem.make_algorithm()
    algorithm.permits = problem.permits
    given = [one for one in make_baselines(problem, {}) if not one.foreign]

    def tell(number: int, proposal: Proposal, plan: Plan) -> None:
        genome, point, values = proposal.genome, proposal.point, _made_up(problem, plan)
        first = number < len(given)
        result = Result(number, genome, values, cost=plan.nfe, baseline=first, point=point)
        with third_party("algorithm", algorithm):
            algorithm.tell([result], [])

    for number, one in enumerate(given):
        tell(number, Proposal(one.genome), one.plan)
    seconds: list[float] = []
    while len(seconds) < min(most, _MOST_PROPOSALS) and sum(seconds) <= _MOST_SECONDS:
        number = len(seconds)
        start = time.process_time()
        asked = problem.propose(algorithm, np.random.default_rng([0, number]), [])
        if asked is None:
            break
        proposal, plan = asked
        seconds.append(time.process_time() - start)
        tell(len(given) + number, proposal, plan)
    return fmean(seconds[len(seconds) // 2 :]) if seconds else 0.0


def _made_up(problem: Problem, plan: Plan) -> tuple[float, ...]:
    """Made-up objective values: one that even gaps between times make least, and costs."""
    times = np.array([step.time for step in plan.steps]) / problem.denoiser.schedule.unit
    gaps = float((np.diff(np.append(times, 0.0)) ** 2).sum())
    return (gaps, *[float(plan.macs)] * (len(problem.objectives) - 1))


def _time_plans(problem: Problem, costs: _Costs) -> _Timing:
    """The middle baseline and some random recipes on one seed block, each at its fastest.

    Where the network is small, a solver's own arithmetic counts, and a search varies it.
    """
    plans = costs.typical
    ranked = sorted(plans, key=lambda name: (plans[name].macs, name))
    middle = ranked[len(ranked) // 2]
    plan, size, experiment = plans[middle], problem.seed_block, problem.experiment
    device = "cuda" if experiment.workers.gpus > 0 else "cpu"
    # As a worker runs it, with one thread, and keeping outputs for plans that begin alike.
    evaluator = ModelEvaluator(
        problem.spec, device=device, call_cache=experiment.workers.call_cache
    )
    runner = Runner(lambda: evaluator, name="dry run")
    # A device works while the processor waits.
    clock = time.perf_counter if device == "cuda" else time.process_time
    begun = clock()

    def timed(one: Plan) -> tuple[float, Outcome]:
        task = SampleTask(0, one, 0, Stream.SEARCH, (0,), size, problem.report_measure.needs)
        taken = []
        for _ in range(_REPEATS):
            if evaluator.call_cache is not None:
                evaluator.call_cache.clear()
            start = clock()
            outcome = runner.run(task)
            taken.append(clock() - start)
        return min(taken), outcome

    seconds, best = timed(plan)
    require(middle, best)
    unit = seconds / best.forward_equivalents if best.forward_equivalents else 0.0
    searched, units = 0.0, 0.0
    for one in costs.drawn:
        if clock() - begun > _MOST_SECONDS:
            break
        seconds, outcome = timed(one)
        if outcome.reason is None:
            searched, units = searched + seconds, units + outcome.forward_equivalents
    checked = experiment.validation.samples
    # Latencies are predicted from a table in no time.
    with_table = problem.with_latency_table(LatencyTable(evaluation=1.0, branch=1.0))
    return _Timing(
        middle,
        unit,
        searched / units if units else unit,
        _scoring(with_table.measure, plan, best.rows, experiment.samples, size),
        _scoring(with_table.report_measure, plan, best.rows, checked, size),
        sum(array.nbytes for array in best.rows.values()) / size,
        torch.cuda.max_memory_allocated() if device == "cuda" else None,
    )


def _scoring(measure: Measure, plan: Plan, block: Rows, samples: int, size: int) -> float:
    """Seconds from rows to values of so many samples: one block's rows, repeated.

    Of more rows than a bound as many are scored as there is room for, and the time scaled.
    """
    if not measure.needs:
        return 0.0
    asked, samples = samples, _scored(measure, block, samples, size)
    rows = {name: np.concatenate([array] * (samples // size)) for name, array in block.items()}
    teacher = Teacher.of(rows) if measure.needs_teacher else None
    seconds = []
    for _ in range(_REPEATS):
        start = time.process_time()
        with contextlib.suppress(Infeasible):  # it takes its time all the same
            measure.estimates(plan, rows, samples=samples, teacher=teacher)
        seconds.append(time.process_time() - start)
    return min(seconds) * asked / samples


def _scored(measure: Measure, block: Rows, samples: int, size: int) -> int:
    """As many samples as their rows take no more than the bound, that can be scored."""
    row_bytes = sum(array.nbytes for array in block.values()) / size
    most = int(_SCORED_BYTES / max(row_bytes, 1.0)) // size * size
    if samples <= most:
        return samples
    for fewer in range(most, 0, -size):
        try:
            measure.check_samples(fewer, where="samples")
        except UserError:
            continue  # too few, or not to be cut into equal blocks
        return fewer
    return samples


def _advice(problem: Problem, timing: _Timing, asked: int, beyond: str | None) -> list[str]:
    """What to change before a run, each in one line."""
    lines = advice(problem, beyond)
    if not asked and not lines:
        lines.append(_NOTHING_SEARCHED)
    samples = max(problem.experiment.samples, problem.experiment.validation.samples)
    wanted, there = timing.row_bytes * samples, _memory_bytes()
    if there is not None and wanted > there:
        lines.append(
            f"{samples:,} samples: their rows take about {wanted / 1e9:,.0f} GB, and this machine "
            f"has {there / 1e9:,.0f} GB of memory; use fewer"
        )
    return lines


def _memory_bytes() -> int | None:
    """This machine's memory, where the system says it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _workers(experiment: Experiment) -> int:
    """Workers that will evaluate; ``auto`` fills this machine's processors."""
    workers = experiment.workers
    if runs_here(workers):
        return 1
    if workers.count != "auto":
        return workers.count
    room = max(1, int((os.cpu_count() or 1) / max(workers.cpus, 1e-9)))
    lag = experiment.lag
    return room if lag == "auto" or experiment.order == "arrival" else min(room, lag)


class _Clock:
    """How many other processes compute on this machine, judged by what they left since it began."""

    def __init__(self) -> None:
        self._wall, self._own = time.perf_counter(), time.process_time()

    def rivals(self) -> float:
        """As many as take the processors that this process, which never waits, did not get."""
        wall, own = time.perf_counter() - self._wall, time.process_time() - self._own
        share = own / wall if wall > 0 else 1.0
        return _processors() / share - 1 if 0 < share < _WHOLE_SHARE else 0.0


def _processors() -> int:
    return os.cpu_count() or 1


def _share(own: int, rivals: float) -> float:
    """The part of a processor that each of ``own`` processes gets beside others."""
    return min(1.0, _processors() / (own + rivals))


def _elapsed(sampling: float, scoring: float, workers: int, rivals: float) -> float:
    """Seconds for so much processor time, on this machine and beside others on it.

    Workers sample while this process scores.
    """
    if workers == 1:
        return (sampling + scoring) / _share(1, rivals)
    together = (workers + 1) * _share(workers + 1, rivals)
    return max(
        sampling / (workers * _share(workers, rivals)),
        scoring / _share(1, rivals),
        (sampling + scoring) / together,
    )


def _disk(
    experiment: Experiment, timing: _Timing, costs: _Costs, candidates: int, validated: int
) -> float:
    rows = timing.row_bytes * (
        candidates * experiment.samples + validated * experiment.validation.samples
    )
    steps = fmean(plan.nfe for plan in costs.typical.values())
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
    families = [
        {
            "name": family.name,
            "summary": family.summary,
            "fields": list(family.fields),
            "dimensions": len(family.box() or ()) or None,
        }
        for family in problem.space.families
    ]
    sizes = [family["dimensions"] for family in families]
    return {"families": families, "dimensions": None if None in sizes else sum(sizes)}
