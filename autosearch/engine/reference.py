"""What a study is measured against: the fine reference, and the teacher's trajectory."""

import functools
import json
import math
from collections.abc import Callable
from typing import Literal, TypeVar

from autosearch.baselines.fine import REFERENCES, teacher, teacher_name
from autosearch.baselines.fitted.names import fit_forwards
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.prepared import fitted_names, most_steps
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.setup_share import SETUP_SHARE
from autosearch.engine.teacher import LEAST_STEPS, Teacher, teacher_steps
from autosearch.engine.workers.base import Executor, Outcome
from autosearch.engine.workers.collect import collect
from autosearch.errors import Infeasible, MeasurementFailed, PartFailed, Unmeasured, UserError
from autosearch.objectives import Estimate
from autosearch.study.events import PhaseBegun, ReferenceMeasured, Spent, TeacherMeasured

__all__ = [
    "SETUP_SHARE",
    "check_references",
    "measure_reference",
    "reference_samples",
    "sample_teacher",
    "setup_advice",
    "setup_cost",
    "shipped_reference",
    "teacher_cost",
]

Values = TypeVar("Values")


def check_references(problem: Problem) -> None:
    """Compile what will be needed, before anything is written or paid.

    Raises:
        UserError: when the model cannot run it.
    """
    measure = problem.report_measure
    for name in REFERENCES if measure.part(taught=False).needs else ():
        try:
            problem.named_plan(name)
        except UserError as error:
            raise UserError(f"reference {name}: {error}") from None
    if measure.needs_teacher:
        try:
            _teacher_plan(problem, LEAST_STEPS)
        except UserError as error:
            raise UserError(f"{teacher_name(LEAST_STEPS)}: {error}") from None


def measure_reference(
    problem: Problem,
    executor: Executor,
    *,
    samples: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> ReferenceMeasured:
    """The better of the reference recipes, on a stream of its own.

    The better one has the lower ``fid``, or the better value of the first measured objective.
    Distances to the teacher are not measured: full quality is the teacher's, which is at none from
    itself.

    Args:
        problem: whose model and objectives.
        executor: who samples.
        samples: how many; by default as many as validation has.
        stopping: says that no more is to be begun.

    Raises:
        UserError: when it cannot be measured.
        PartFailed: when the model or an objective fails at it.
        Stopped: when ``stopping`` says so before everything was begun.
    """
    # What the plan of a reference declares is not looked at.
    measure = problem.report_measure.measured.part(taught=False)
    taught = {o.name: Estimate(0.0) for o in problem.report_measure.part(taught=True).objectives}
    if taught and not measure.needs:
        name = teacher_name(_teacher_steps(problem))
        return ReferenceMeasured(
            recipe=name,
            source="teacher",
            samples=0,
            values=taught,
            forward_equivalents=0.0,
            budgeted=0.0,
        )
    samples = problem.experiment.validation.samples if samples is None else samples
    parts = {
        name: _sample(
            problem,
            executor,
            f"reference {name}",
            problem.named_plan(name),
            stream=Stream.REFERENCE,
            seed=problem.experiment.seed,
            samples=samples,
            needs=measure.needs,
            stopping=stopping,
        )
        for name in REFERENCES
    }
    values = {}
    for name, part in parts.items():
        plan = problem.named_plan(name)
        values[name] = _checked(
            f"reference {name}",
            functools.partial(measure.estimates, plan, part.rows, samples=samples),
        )
    measured = measure.objectives
    best = REFERENCES[0]
    if measured:
        by = next((o for o in measured if o.name == "fid"), measured[0])
        sign = -1.0 if by.direction == "maximize" else 1.0
        # Of what is only reported there may be no value.
        judged = [name for name in REFERENCES if by.name in values[name]]
        best = min(judged, key=lambda name: sign * values[name][by.name].value, default=best)
    return ReferenceMeasured(
        recipe=best,
        source="measured",
        samples=samples,
        values={**values[best], **taught},
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
    if budget is None or not problem.report_measure.part(taught=False).needs:
        return wanted
    left = SETUP_SHARE * budget - others - _search_teacher_cost(problem)
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
    cost = fits + _search_teacher_cost(problem)
    if shipped_reference(problem) is None and problem.report_measure.part(taught=False).needs:
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
) -> Teacher | None:
    """The fine trajectory on a stream's noise and its own error, where an objective asks.

    Error and cost are recorded; as for candidates, validation is no part of the search's budget. A
    study that has an error already keeps its teacher, whatever became of its budget.

    Args:
        problem: whose objectives ask for it.
        recorder: samples, and takes error and cost in.
        stream: of the search, or of validation, which may report more.
        seed: of the noise; the experiment's by default.
        samples: how many; as many as a candidate of the search has by default.

    Raises:
        UserError: when it cannot be sampled.
        Stopped: when the recorder's user interrupts before everything was begun.
    """
    validating = stream is Stream.VALIDATION
    measure = problem.report_measure if validating else problem.measure
    if not measure.needs_teacher:
        return None
    seed = problem.experiment.seed if seed is None else seed
    samples = problem.experiment.samples if samples is None else samples
    noise: Literal["search", "validation"] = "validation" if validating else "search"
    what, study, ends = f"teacher ({noise})", recorder.study, measure.teacher_needs
    known = study.teachers.get((noise, seed, samples))
    old = what in study.overheads and all(one.noise != noise for one in study.teachers.values())
    recorder.write(PhaseBegun(name=what))
    run = functools.partial(
        _sample,
        problem,
        recorder.executor,
        stream=stream,
        seed=seed,
        samples=samples,
        stopping=recorder.interrupted,
    )
    if old:
        # A study of a release whose teacher stated no error goes on with its own.
        name = REFERENCES[1]
        runs = [run(name, problem.named_plan(name), needs=ends)]
        found, nominal = Teacher.of(runs[0].rows, name), runs[0].nominal
    else:
        first = known or study.teacher()
        steps = _teacher_steps(problem) if first is None else first.steps
        name, plan = teacher_name(steps), _teacher_plan(problem, steps)
        finer = _teacher_plan(problem, 2 * steps)
        # The same when both are at hand after a resume.
        nominal = plan.cost(samples) + finer.cost(samples)
        part = measure.part(taught=True)
        runs = [run(name, plan, needs=part.needs | ends if known is None else ends)]
        if known is None:
            runs.append(run(teacher_name(2 * steps), finer, needs=ends))
            rows, twice = runs[0].rows, Teacher.of(runs[1].rows)
            errors = _checked(name, lambda: part.teacher_errors(plan, rows, twice, samples=samples))
            known = TeacherMeasured(
                recipe=name, steps=steps, noise=noise, seed=seed, samples=samples, errors=errors
            )
            recorder.write(known)
        found = Teacher.of(runs[0].rows, name, known.errors)
    executed = sum(one.forward_equivalents for one in runs)
    if executed or what not in study.overheads:
        budgeted = 0.0 if validating else nominal
        recorder.write(
            Spent(what=what, forward_equivalents=executed, budgeted=budgeted, nominal=nominal)
        )
    return found


def teacher_cost(problem: Problem) -> float:
    """Forward equivalents of one sample of the teacher, and of the run that tells its error."""
    steps = _teacher_steps(problem)
    return sum(_teacher_plan(problem, n).forward_equivalents for n in (steps, 2 * steps))


def _reference_cost(problem: Problem) -> float:
    """Forward equivalents of one sample of each reference recipe."""
    return sum(problem.named_plan(name).forward_equivalents for name in REFERENCES)


def _search_teacher_cost(problem: Problem) -> float:
    """Forward equivalents of the teacher on the search's noise; 0 where no objective asks."""
    if not problem.measure.needs_teacher:
        return 0.0
    return teacher_cost(problem) * problem.experiment.samples


def _teacher_steps(problem: Problem) -> int:
    """As many as the candidates ask for, and setting up may take of the budget."""
    budget, affordable = problem.experiment.budget.forward_equivalents, math.inf
    if budget is not None and problem.measure.needs_teacher:
        fits = fit_forwards(fitted_names(problem), problem.denoiser)
        # Each step of the teacher is three, with those of the finer run.
        each = 3 * _teacher_plan(problem, LEAST_STEPS).forward_equivalents / LEAST_STEPS
        left = SETUP_SHARE * budget - fits
        if shipped_reference(problem) is None and problem.report_measure.part(taught=False).needs:
            left /= 2  # the other half is the reference's
        affordable = left / (each * problem.experiment.samples)
    return teacher_steps(most_steps(problem), affordable)


def _checked(name: str, estimate: Callable[[], Values]) -> Values:
    """What an estimate gives; that the model allows none is the user's to mend."""
    try:
        return estimate()
    except MeasurementFailed as error:
        raise PartFailed(f"{name}: {error}") from None
    except Infeasible as error:
        raise UserError(f"{name}: {error}") from None


def _teacher_plan(problem: Problem, steps: int) -> Plan:
    return problem.compile(teacher(problem.denoiser, steps))


def _sample(
    problem: Problem,
    executor: Executor,
    name: str,
    plan: Plan,
    *,
    stream: Stream,
    seed: int,
    samples: int,
    needs: frozenset[str],
    stopping: Callable[[], bool],
) -> Outcome:
    """Rows of a fine recipe, by ``needs``."""
    rows = collect(
        executor,
        plan,
        seed=seed,
        stream=stream,
        blocks=problem.blocks(samples),
        block_size=problem.seed_block,
        needs=needs,
        stopping=stopping,
    )
    if rows.failure not in (None, "raised"):
        raise Unmeasured(
            f"{name} was not sampled: {rows.reason}; try again with --resume, or change workers"
        )
    if rows.reason is not None:
        kind = UserError if rows.failure is None else PartFailed
        raise kind(f"{name} cannot be sampled: {rows.reason}")
    return rows
