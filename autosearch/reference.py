"""What a study is measured against: the fine reference, and the teacher's trajectory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines import baseline
from autosearch.collect import Collected, collect
from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.problem import Problem
from autosearch.study import estimates_to_record
from autosearch.workers.base import Executor, Infeasible

__all__ = ["REFERENCES", "TEACHER", "check_references", "measured_reference", "teacher_ends"]

# The reference of a model is the better of the two (unguided), where none is shipped with it.
REFERENCES = ("ddim@100", "dpmpp_2m@100")
TEACHER = "dpmpp_2m@100"


def check_references(problem: Problem) -> None:
    """Compile what will be needed, before anything is written or paid.

    Raises:
        UserError: when the model cannot run it.
    """
    needed = list(REFERENCES) if problem.report_measure.needs else []
    if problem.report_measure.needs_teacher:
        needed.append(TEACHER)
    for name in needed:
        try:
            problem.compile(baseline(name, problem.denoiser))
        except UserError as error:
            raise UserError(f"reference {name}: {error}") from None


def measured_reference(
    problem: Problem, executor: Executor, *, teacher: NDArray[np.generic] | None
) -> dict[str, Any]:
    """The better of the reference recipes as a journal record, on a stream of its own.

    The better one has the lower ``fid``, or the better value of the first measured objective.
    """
    measure = problem.report_measure
    samples, seed = problem.experiment.validation.samples, problem.experiment.seed
    measured = [objective for objective in measure.objectives if objective.needs]
    found, executed, nominal = [], 0.0, 0.0
    for name in REFERENCES:
        part = _sampled(
            problem,
            executor,
            name,
            stream=Stream.REFERENCE,
            seed=seed,
            samples=samples,
            needs=measure.needs,
        )
        plan = problem.compile(baseline(name, problem.denoiser))
        try:
            values = measure.estimates(plan, part.rows, samples=samples, teacher=teacher)
        except Infeasible as error:
            raise UserError(f"reference {name}: {error}") from None
        found.append((name, values))
        executed += part.forward_equivalents
        nominal += part.nominal
    if measured:
        by = next((o for o in measured if o.name == "fid"), measured[0])
        sign = -1.0 if by.direction == "maximize" else 1.0
        found.sort(key=lambda item: sign * item[1][by.name].value)
    name, values = found[0]
    return {
        "recipe": name,
        "source": "measured",
        "samples": samples,
        "values": estimates_to_record({o.name: values[o.name] for o in measured}),
        "forward_equivalents": executed,
        "budgeted": nominal,
    }


def teacher_ends(
    problem: Problem, executor: Executor, *, stream: Stream, seed: int, samples: int
) -> Collected:
    """Ends of the fine trajectory from the same noise, as rows called ``final``."""
    return _sampled(
        problem,
        executor,
        TEACHER,
        stream=stream,
        seed=seed,
        samples=samples,
        needs=frozenset({"final"}),
    )


def _sampled(
    problem: Problem,
    executor: Executor,
    name: str,
    *,
    stream: Stream,
    seed: int,
    samples: int,
    needs: frozenset[str],
) -> Collected:
    found = collect(
        executor,
        problem.compile(baseline(name, problem.denoiser)),
        seed=seed,
        stream=stream,
        blocks=problem.blocks(samples),
        block_size=problem.seed_block,
        needs=needs,
    )
    if found.reason is not None:
        raise UserError(f"reference {name} cannot be sampled: {found.reason}")
    return found
