"""What a study is measured against: the fine reference, and the teacher's trajectory."""

import json
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines import baseline
from autosearch.baselines.fine import REFERENCES, TEACHER
from autosearch.diffusion.noise import Stream
from autosearch.engine.measure import Measure
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.workers.base import Executor, Outcome
from autosearch.engine.workers.collect import collect
from autosearch.errors import Infeasible, UserError
from autosearch.study.events import PhaseBegun, ReferenceMeasured, Spent

__all__ = [
    "SETUP_SHARE",
    "check_references",
    "measure_reference",
    "reference_cost",
    "reference_samples",
    "sample_reference",
    "sample_teacher",
    "shipped_reference",
    "teacher_cost",
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
            problem.compile(baseline(name, problem.denoiser))
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
    measure = problem.report_measure
    samples = problem.experiment.validation.samples if samples is None else samples
    seed = problem.experiment.seed
    parts = {
        name: sample_reference(
            problem,
            executor,
            name,
            stream=Stream.REFERENCE,
            seed=seed,
            samples=samples,
            needs=measure.needs,
            stopping=stopping,
        )
        for name in REFERENCES
    }
    teacher = parts[TEACHER].rows.get("final")
    values = {}
    for name, part in parts.items():
        plan = problem.compile(baseline(name, problem.denoiser))
        try:
            values[name] = measure.estimates(plan, part.rows, samples=samples, teacher=teacher)
        except Infeasible as error:
            raise UserError(f"reference {name}: {error}") from None
    measured = [objective for objective in measure.objectives if objective.needs]
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


def reference_cost(problem: Problem) -> float:
    """Forward equivalents of one sample of each reference recipe."""
    recipes = [baseline(name, problem.denoiser) for name in REFERENCES]
    return sum(problem.compile(recipe).forward_equivalents for recipe in recipes)


def teacher_cost(problem: Problem) -> float:
    """Forward equivalents of the teacher on the search's noise; 0 where no objective asks."""
    if not problem.measure.needs_teacher:
        return 0.0
    plan = problem.compile(baseline(TEACHER, problem.denoiser))
    return plan.cost(problem.experiment.samples)


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
    left = SETUP_SHARE * budget - others - teacher_cost(problem)
    size = problem.seed_block
    room = int(left / reference_cost(problem)) // size * size
    if room >= wanted:
        return wanted
    for samples in range(max(room, size), wanted, size):
        try:
            problem.report_measure.check_samples(samples, where="reference")
        except UserError:
            continue  # too few, or not to be cut into equal blocks
        return samples
    return wanted


def sample_teacher(
    problem: Problem,
    recorder: Recorder,
    measure: Measure,
    *,
    stream: Stream,
    seed: int,
    samples: int,
) -> NDArray[np.generic] | None:
    """Ends [samples, d] of the fine trajectory on a stream's noise, where an objective asks.

    What it cost is recorded; as for candidates, validation is no part of the search's budget.
    """
    if not measure.needs_teacher:
        return None
    what = f"teacher ({stream.name.lower()})"
    recorder.write(PhaseBegun(name=what))
    outcome = sample_reference(
        problem,
        recorder.executor,
        stream=stream,
        seed=seed,
        samples=samples,
        stopping=recorder.interrupted,
    )
    if outcome.forward_equivalents or what not in recorder.study.overheads:
        recorder.write(
            Spent(
                what=what,
                forward_equivalents=outcome.forward_equivalents,
                budgeted=0.0 if stream is Stream.VALIDATION else outcome.nominal,
                nominal=outcome.nominal,
            )
        )
    return outcome.rows["final"]


def sample_reference(
    problem: Problem,
    executor: Executor,
    name: str = TEACHER,
    *,
    stream: Stream,
    seed: int,
    samples: int,
    needs: frozenset[str] = frozenset({"final"}),
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Rows of a reference recipe; by default ``final`` [samples, d], the teacher's ends.

    Raises:
        UserError: when the model cannot run it.
        Stopped: when ``stopping`` says so before everything was begun.
    """
    rows = collect(
        executor,
        problem.compile(baseline(name, problem.denoiser)),
        seed=seed,
        stream=stream,
        blocks=problem.blocks(samples),
        block_size=problem.seed_block,
        needs=needs,
        stopping=stopping,
    )
    if rows.reason is not None:
        raise UserError(f"reference {name} cannot be sampled: {rows.reason}")
    return rows
