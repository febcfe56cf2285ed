"""Measuring what a front promises again, on noise that the search never saw."""

import contextlib

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.engine.measure import Measure
from autosearch.engine.prepare import prepare_latency
from autosearch.engine.session import Session
from autosearch.engine.workers.base import Task
from autosearch.engine.workers.collect import run_tasks
from autosearch.engine.workers.timing import time_plan
from autosearch.errors import Infeasible, UserError
from autosearch.study.selection import selection
from autosearch.study.study import estimates_to_record

__all__ = ["validate"]


def validate(session: Session, *, samples: int | None = None, seed: int | None = None) -> None:
    """Measure what the front's promises rest on again, on noise that the search never saw."""
    experiment = session.problem.experiment
    count = experiment.validation.samples if samples is None else samples
    number = experiment.seed if seed is None else seed
    measure = session.problem.report_measure
    if not measure.needs:
        return
    prepare_latency(session)
    measure.check_samples(count, where="samples")
    if number < 0:
        raise UserError(f"seed: {number} is below 0; use 0 or more")
    teacher = session.teacher(Stream.VALIDATION, number, count, measure)
    with session.phase("validation"):
        _measure(session, count, number, measure, teacher)
    if session.problem.latencies and not session.interrupted():
        with session.phase("timing"):
            _time_selection(session)


def _measure(
    session: Session, count: int, seed: int, measure: Measure, teacher: NDArray[np.generic] | None
) -> None:
    chosen = {c.id: c for c in selection(session.study)}
    done_before = session.study.validations.get((seed, count), {})
    todo = [c for c in chosen.values() if c.identity not in done_before]
    plans = {c.id: session.problem.compile(session.study.recipe(c)) for c in todo}
    tasks = [
        Task(
            id=number,
            plan=plan,
            seed=seed,
            stream=Stream.VALIDATION,
            blocks=session.problem.blocks(count),
            block_size=session.problem.seed_block,
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
            {
                "type": "validation",
                "id": outcome.id,
                "identity": chosen[outcome.id].identity,
                "seed": seed,
                "samples": count,
                "values": estimates_to_record(values),
                "forward_equivalents": outcome.forward_equivalents,
                "nominal": plans[outcome.id].cost(count),
            },
            sync=True,
        )
        session.changed(validating=(done, len(todo)), show=done == len(todo))


def _time_selection(session: Session) -> None:
    """Measure alone, one after the other, what was validated."""
    for candidate in selection(session.study):
        if candidate.identity in session.study.timings or session.interrupted():
            continue
        plan = session.problem.compile(session.study.recipe(candidate))
        outcome = time_plan(session.executor, plan, block_size=session.problem.seed_block)
        if outcome.reason is None:
            session.write(
                {
                    "type": "timing",
                    "identity": candidate.identity,
                    "seconds": outcome.rows["latency"].tolist(),
                    "forward_equivalents": outcome.forward_equivalents,
                },
                sync=True,
            )
