"""Measuring what a front promises again, on noise that the search never saw."""

import contextlib

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.engine.prepare import predict_latencies
from autosearch.engine.problem import Problem
from autosearch.engine.reference import sample_teacher
from autosearch.engine.session import Session
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.collect import run_tasks
from autosearch.engine.workers.timing import time_plan
from autosearch.errors import Infeasible, UserError
from autosearch.study.events import Timed, Validated
from autosearch.study.selection import selection

__all__ = ["validate"]


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
    experiment = problem.experiment
    count = experiment.validation.samples if samples is None else samples
    number = experiment.seed if seed is None else seed
    if not problem.report_measure.needs:
        return
    problem = predict_latencies(problem, session)
    problem.report_measure.check_samples(count, where="samples")
    if number < 0:
        raise UserError(f"seed: {number} is below 0; use 0 or more")
    measure, stream = problem.report_measure, Stream.VALIDATION
    teacher = sample_teacher(problem, session, measure, stream=stream, seed=number, samples=count)
    with session.phase("validation"):
        _measure(problem, session, count, number, teacher)
    if problem.report_measure.needs_latency_table and not session.interrupted():
        with session.phase("timing"):
            _time_selection(problem, session)


def _measure(
    problem: Problem,
    session: Session,
    count: int,
    seed: int,
    teacher: NDArray[np.generic] | None,
) -> None:
    measure = problem.report_measure
    chosen = {c.id: c for c in selection(session.study)}
    done_before = session.study.validations.get((seed, count), {})
    todo = [c for c in chosen.values() if c.identity not in done_before]
    plans = {c.id: problem.compile(session.study.recipe(c)) for c in todo}
    tasks = [
        SampleTask(
            id=number,
            plan=plan,
            seed=seed,
            stream=Stream.VALIDATION,
            blocks=problem.blocks(count),
            block_size=problem.seed_block,
            needs=measure.needs,
        )
        for number, plan in plans.items()
    ]
    outcomes = run_tasks(session.executor, tasks, stopping=session.interrupted)
    for done, outcome in enumerate(outcomes, start=1):
        values = {}
        if outcome.reason is None:
            with contextlib.suppress(Infeasible):
                values = measure.estimates(
                    plans[outcome.id], outcome.rows, samples=count, teacher=teacher
                )
        session.write(
            Validated(
                id=outcome.id,
                identity=chosen[outcome.id].identity,
                seed=seed,
                samples=count,
                values=values,
                forward_equivalents=outcome.forward_equivalents,
                nominal=plans[outcome.id].cost(count),
            )
        )
        session.changed(validating=(done, len(todo)), show=done == len(todo))


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
