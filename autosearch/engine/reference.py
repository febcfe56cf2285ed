"""What a study is measured against: the fine reference, and the teacher's trajectory."""

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines.fine import REFERENCES, TEACHER
from autosearch.baselines.fitted.names import fit_forwards
from autosearch.diffusion.noise import Stream
from autosearch.engine.prepared import fitted_names
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.workers.base import Executor, Outcome
from autosearch.engine.workers.collect import collect
from autosearch.errors import Infeasible, Unmeasured, UserError
from autosearch.study.events import PhaseBegun, ReferenceMeasured, Spent

__all__ = [
    "SETUP_SHARE",
    "check_references",
    "measure_reference",
    "reference_samples",
    "sample_teacher",
    "setup_advice",
    "setup_cost",
    "shipped_reference",
]

# The share of a budget that setting up takes at most, where that leaves enough samples.
SETUP_SHARE = 0.2


def check_references(problem: Problem) -> None:
    """Compile what will be needed, before anything is written or paid.

    Raises:
        UserError: when the model cannot run it.
    """
    for name in REFERENCES if problem.report_measure.needs else ():
        try:
            problem.named_plan(name)
        except UserError as error:
            raise UserError(f"reference {name}: {error}") from None


def measure_reference(
    problem: Problem,
    executor: Executor,
    *,
    samples: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> ReferenceMeasured:
    """The better of the reference recipes, on a stream of its own.

    The better one has the lower ``fid``, or the better value of the first measured objective.

    Args:
        problem: whose model and objectives.
        executor: who samples.
        samples: how many; by default as many as validation has.
        stopping: says that no more is to be begun.

    Raises:
        UserError: when it cannot be measured.
        Stopped: when ``stopping`` says so before everything was begun.
    """
    # What the plan of a reference declares is not looked at.
    measure = problem.report_measure.measured
    samples = problem.experiment.validation.samples if samples is None else samples
    parts = {
        name: _sample(
            problem,
            executor,
            name,
            stream=Stream.REFERENCE,
            seed=problem.experiment.seed,
            samples=samples,
            needs=measure.needs,
            stopping=stopping,
        )
        for name in REFERENCES
    }
    teacher = parts[TEACHER].rows.get("final")
    values = {}
    for name, part in parts.items():
        plan = problem.named_plan(name)
        try:
            values[name] = measure.estimates(plan, part.rows, samples=samples, teacher=teacher)
        except Infeasible as error:
            raise UserError(f"reference {name}: {error}") from None
    measured = measure.objectives
    best = REFERENCES[0]
    if measured:
        by = next((o for o in measured if o.name == "fid"), measured[0])
        sign = -1.0 if by.direction == "maximize" else 1.0
        best = min(REFERENCES, key=lambda name: sign * values[name][by.name].value)
    return ReferenceMeasured(
        recipe=best,
        source="measured",
        samples=samples,
        values={o.name: values[best][o.name] for o in measured},
        forward_equivalents=sum(part.forward_equivalents for part in parts.values()),
        budgeted=sum(part.nominal for part in parts.values()),
    )


def shipped_reference(problem: Problem) -> ReferenceMeasured | None:
    """The reference that comes with the model, where one does."""
    shipped = problem.model.figures.get("reference")
    if not shipped:
        return None
    costs = {"forward_equivalents": 0.0, "budgeted": 0.0}
    record = {**shipped, "source": "shipped", **costs}
    return ReferenceMeasured.model_validate_json(json.dumps(record))


def reference_samples(problem: Problem, *, others: float) -> int:
    """Samples of the reference: validation's, or fewer, so that setting up leaves the search most.

    Args:
        problem: whose reference.
        others: forward equivalents that setting up takes besides, the teacher's apart.
    """
    wanted = problem.experiment.validation.samples
    budget = problem.experiment.budget.forward_equivalents
    if budget is None or not problem.report_measure.needs:
        return wanted
    left = SETUP_SHARE * budget - others - _teacher_cost(problem)
    size = problem.seed_block
    room = int(left / _reference_cost(problem)) // size * size
    if room >= wanted:
        return wanted
    for samples in range(max(room, size), wanted, size):
        try:
            problem.report_measure.check_samples(samples, where="reference")
        except UserError:
            continue  # too few, or not to be cut into equal blocks
        return samples
    return wanted


def setup_cost(problem: Problem) -> float:
    """Forward equivalents that count against the budget before the first candidate.

    Fits, the search's teacher where one is needed, and the reference where none is shipped.
    """
    fits = fit_forwards(fitted_names(problem), problem.denoiser)
    cost = fits + _teacher_cost(problem)
    if shipped_reference(problem) is None and problem.report_measure.needs:
        cost += reference_samples(problem, others=fits) * _reference_cost(problem)
    return cost


def setup_advice(problem: Problem) -> str | None:
    """What to change where setting up takes more of the budget than it should, in one line."""
    budget = problem.experiment.budget.forward_equivalents
    if budget is None or (cost := setup_cost(problem)) <= SETUP_SHARE * budget:
        return None
    return (
        f"setup takes about {cost:,.0f} of {budget:,.0f} forward equivalents, before the first "
        f"candidate; use budget.forward_equivalents={cost / SETUP_SHARE:.0f}, fewer samples, or "
        "fewer fitted baselines"
    )


def sample_teacher(
    problem: Problem,
    recorder: Recorder,
    *,
    stream: Stream = Stream.SEARCH,
    seed: int | None = None,
    samples: int | None = None,
) -> NDArray[np.generic] | None:
    """Ends [samples, d] of the fine trajectory on a stream's noise, where an objective asks.

    What it cost is recorded; as for candidates, validation is no part of the search's budget.

    Args:
        problem: whose objectives ask for it.
        recorder: samples, and takes the cost in.
        stream: of the search, or of validation, which may report more.
        seed: of the noise; the experiment's by default.
        samples: how many; as many as a candidate of the search has by default.
    """
    validating = stream is Stream.VALIDATION
    if not (problem.report_measure if validating else problem.measure).needs_teacher:
        return None
    what = f"teacher ({stream.name.lower()})"
    recorder.write(PhaseBegun(name=what))
    outcome = _sample(
        problem,
        recorder.executor,
        TEACHER,
        stream=stream,
        seed=problem.experiment.seed if seed is None else seed,
        samples=problem.experiment.samples if samples is None else samples,
        needs=frozenset({"final"}),
        stopping=recorder.interrupted,
    )
    if outcome.forward_equivalents or what not in recorder.study.overheads:
        recorder.write(
            Spent(
                what=what,
                forward_equivalents=outcome.forward_equivalents,
                budgeted=0.0 if validating else outcome.nominal,
                nominal=outcome.nominal,
            )
        )
    return outcome.rows["final"]


def _reference_cost(problem: Problem) -> float:
    """Forward equivalents of one sample of each reference recipe."""
    return sum(problem.named_plan(name).forward_equivalents for name in REFERENCES)


def _teacher_cost(problem: Problem) -> float:
    """Forward equivalents of the teacher on the search's noise; 0 where no objective asks."""
    if not problem.measure.needs_teacher:
        return 0.0
    return problem.named_plan(TEACHER).cost(problem.experiment.samples)


def _sample(
    problem: Problem,
    executor: Executor,
    name: str,
    *,
    stream: Stream,
    seed: int,
    samples: int,
    needs: frozenset[str],
    stopping: Callable[[], bool],
) -> Outcome:
    """Rows of a named recipe, by ``needs``."""
    rows = collect(
        executor,
        problem.named_plan(name),
        seed=seed,
        stream=stream,
        blocks=problem.blocks(samples),
        block_size=problem.seed_block,
        needs=needs,
        stopping=stopping,
    )
    if rows.failure not in (None, "raised"):
        raise Unmeasured(
            f"reference {name} was not sampled: {rows.reason}; try again with --resume, or change "
            "workers"
        )
    if rows.reason is not None:
        raise UserError(f"reference {name} cannot be sampled: {rows.reason}")
    return rows
