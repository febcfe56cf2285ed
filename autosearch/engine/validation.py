"""Measuring what a front promises again, on noise that the search never saw."""

from autosearch.diffusion.noise import Stream
from autosearch.engine.prepare import predict_latencies
from autosearch.engine.problem import Problem
from autosearch.engine.reference import sample_teacher
from autosearch.engine.session import Session
from autosearch.engine.teacher import Teacher
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.collect import run_tasks
from autosearch.engine.workers.timing import time_plan
from autosearch.errors import Infeasible, MeasurementFailed, UserError
from autosearch.study.events import Event, Lost, Timed, Validated
from autosearch.study.selection import selection
from autosearch.study.study import Candidate, Estimates, Noise, Study

__all__ = ["check_validation", "validate"]


def validate(
    problem: Problem, session: Session, *, samples: int | None = None, seed: int | None = None
) -> None:
    """Measure what the front's promises rest on again, on noise that the search never saw.

    Args:
        problem: that was searched.
        session: of the study.
        samples: of each recipe; the experiment's by default.
        seed: of the noise; the experiment's by default.

    Raises:
        UserError: for a number that is not possible.
        Stopped: when the user asked to stop before everything was begun.
    """
    if not problem.report_measure.needs:
        return
    samples = problem.experiment.validation.samples if samples is None else samples
    seed = problem.experiment.seed if seed is None else seed
    check_validation(problem, samples=samples, seed=seed)
    problem = predict_latencies(problem, session)
    measure = problem.report_measure
    stream = Stream.VALIDATION
    teacher = sample_teacher(problem, session, stream=stream, seed=seed, samples=samples)
    with session.phase("validation"):
        _measure(problem, session, samples, seed, teacher)
    if measure.needs_latency_table and not session.interrupted():
        with session.phase("timing"):
            _time_selection(problem, session)


def check_validation(problem: Problem, *, samples: int | None, seed: int | None) -> None:
    """Refuse a number of samples or a seed that is not possible.

    Raises:
        UserError: naming it.
    """
    if samples is not None and problem.report_measure.needs:
        problem.report_measure.check_samples(samples, where="samples")
    if seed is not None and seed < 0:
        raise UserError(f"seed: {seed} is below 0; use 0 or more")


def _measure(
    problem: Problem,
    session: Session,
    samples: int,
    seed: int,
    teacher: Teacher | None,
) -> None:
    measure, blocks, size = problem.report_measure, problem.blocks(samples), problem.seed_block
    done_before = _known(session.study, (seed, samples))
    chosen = selection(session.study)
    todo = {c.id: c for c in chosen if c.identity not in done_before}
    if done_before and not todo and next(reversed(session.study.validations)) != (seed, samples):
        _count_again(session, chosen[0], seed, samples)
    plans = {c.id: problem.compile(session.study.recipe(c)) for c in todo.values()}
    tasks = [
        SampleTask(number, plan, seed, Stream.VALIDATION, blocks, size, measure.needs)
        for number, plan in plans.items()
    ]
    outcomes = run_tasks(session.executor, tasks, stopping=session.interrupted)
    for done, outcome in enumerate(outcomes, start=1):
        plan, candidate = plans[outcome.id], todo[outcome.id]
        reason, failed, values = outcome.reason, outcome.failure is not None, {}
        if reason is None:
            try:
                values = measure.estimates(plan, outcome.rows, samples=samples, teacher=teacher)
            except Infeasible as error:
                reason, failed = str(error), isinstance(error, MeasurementFailed)
        event: Event = Validated(
            id=outcome.id,
            identity=candidate.identity,
            seed=seed,
            samples=samples,
            values=values,
            forward_equivalents=outcome.forward_equivalents,
            nominal=plan.cost(samples),
            reason=reason,
        )
        if failed:
            event = Lost(
                what="validation",
                key=candidate.identity,
                reason=reason or "",
                forward_equivalents=outcome.forward_equivalents,
                seed=seed,
                samples=samples,
            )
        session.write(event)
        session.changed(validating=(done, len(todo)), show=done == len(todo))


def _known(study: Study, noise: Noise) -> dict[str, Estimates]:
    """What is known by identity; older journals do not say why there are no values."""
    unfit = study.unfit.get(noise, {})
    validated = study.validations.get(noise, {})
    return {key: values for key, values in validated.items() if values or key in unfit}


def _count_again(session: Session, candidate: Candidate, seed: int, samples: int) -> None:
    """Say that an earlier validation, complete, is the one that counts now: the latest."""
    session.write(
        Validated(
            id=candidate.id,
            identity=candidate.identity,
            seed=seed,
            samples=samples,
            values=session.study.validations[seed, samples][candidate.identity],
            forward_equivalents=0.0,
        )
    )


def _time_selection(problem: Problem, session: Session) -> None:
    """Measure alone, one after the other, what was validated."""
    for candidate in selection(session.study):
        if candidate.identity in session.study.timings or session.interrupted():
            continue
        plan = problem.compile(session.study.recipe(candidate))
        outcome = time_plan(session.executor, plan, block_size=problem.seed_block)
        if outcome.reason is None:
            session.write(
                Timed(
                    identity=candidate.identity,
                    seconds=outcome.rows["latency"].tolist(),
                    forward_equivalents=outcome.forward_equivalents,
                )
            )
        elif outcome.failure is not None:
            session.write(
                Lost(
                    what="timing",
                    key=candidate.identity,
                    reason=outcome.reason,
                    forward_equivalents=outcome.forward_equivalents,
                )
            )
