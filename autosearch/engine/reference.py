"""What a study is measured against: the fine reference, and the teacher's trajectory."""

from collections.abc import Callable
from typing import Any

from autosearch.baselines import baseline
from autosearch.baselines.fine import REFERENCES, TEACHER
from autosearch.diffusion.noise import Stream
from autosearch.engine.problem import Problem
from autosearch.engine.workers.base import Executor, Outcome
from autosearch.engine.workers.collect import collect
from autosearch.errors import Infeasible, UserError
from autosearch.study.study import estimates_to_record

__all__ = ["check_references", "measure_reference", "sample_reference"]


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
    problem: Problem, executor: Executor, *, stopping: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """The better of the reference recipes as a journal record, on a stream of its own.

    The better one has the lower ``fid``, or the better value of the first measured objective.
    """
    measure = problem.report_measure
    samples, seed = problem.experiment.validation.samples, problem.experiment.seed
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
    return {
        "recipe": best,
        "source": "measured",
        "samples": samples,
        "values": estimates_to_record({o.name: values[best][o.name] for o in measured}),
        "forward_equivalents": sum(part.forward_equivalents for part in parts.values()),
        "budgeted": sum(part.nominal for part in parts.values()),
    }


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
