"""Cheap results for what an algorithm proposes, and ways in which they come back."""

import functools
import gc
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.workers.base import Evaluator, Outcome, SampleTask
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import experiment_from_dict
from autosearch.study.events import Asked
from autosearch.study.journal import Journal, read_journal
from autosearch.study.study import Study

__all__ = [
    "Trial",
    "count_objects",
    "make_problem",
    "make_result",
    "propose",
    "rebuild",
    "run_in_parallel",
    "run_journaled",
    "run_search",
    "to_json",
]

_OBJECTIVES = ("fid", "nfe", "memory")
_MODEL = {"name": "mixture", "dimension": 2, "components": 2}
_SAMPLES = 100


@dataclass(frozen=True)
class Trial:
    """One proposal and what came of it."""

    proposal: Proposal
    result: Result


@functools.cache
def make_problem(space: str, objectives: int, changes: str = "{}") -> Problem:
    """The problem of a space, both as JSON text, on a small exact model."""
    keys = {
        "model": _MODEL,
        "space": json.loads(space),
        "objectives": list(_OBJECTIVES[:objectives]),
        "baselines": [],
        "samples": _SAMPLES,
        "validation": {"samples": _SAMPLES},
        **json.loads(changes),
    }
    return Problem.of(experiment_from_dict(keys, where="contract"))


def propose(algorithm: Algorithm, rng: Rng, pending: Sequence[Proposal] = ()) -> Proposal | None:
    """Ask an algorithm; what it answers as a Proposal, whether it came alone or with its point."""
    answer = algorithm.ask(rng, list(pending))
    return answer if answer is None or isinstance(answer, Proposal) else Proposal(answer)


def to_json(proposal: Proposal | None) -> str:
    """A proposal as JSON text: what a journal would keep.

    Raises:
        TypeError: for values that JSON does not have, such as numpy's.
    """
    if proposal is None:
        return "null"
    point = None if proposal.point is None else dict(proposal.point)
    return json.dumps([proposal.genome, point], sort_keys=True, allow_nan=False)


def make_result(
    algorithm: Algorithm, number: int, proposal: Proposal, *, constrained: bool = False
) -> Result:
    """A result that depends on the plan alone; now and then it is infeasible.

    Every seventh could not be measured. With a constraint, whose limit splits the others about
    evenly, ``violations`` says by how much it is broken.
    """
    plan = algorithm.space.plan(proposal.genome)
    shares = [_share(plan, i) for i in range(algorithm.objectives + 1)]
    values = tuple(plan.nfe + share for share in shares[1:])
    made = Result(
        number, proposal.genome, values, cost=float(plan.nfe), point=proposal.point, measured=values
    )
    if number % 7 == 3:
        return replace(made, values=None, measured=None)
    if not constrained:
        return made
    broken = shares[0] - 0.5
    return replace(made, values=values if broken <= 0 else None, violations=(broken,))


def run_search(
    algorithm: Algorithm, count: int, *, seed: int = 11, constrained: bool = False
) -> list[Trial]:
    """Ask and tell in turn; fewer where there is nothing left to propose."""
    history: list[Trial] = []
    for k in range(count):
        proposal = propose(algorithm, np.random.default_rng([seed, k]))
        if proposal is None:
            break
        history.append(
            Trial(proposal, make_result(algorithm, k, proposal, constrained=constrained))
        )
        algorithm.tell([history[-1].result], [])
    return history


def run_in_parallel(algorithm: Algorithm, count: int, *, seed: int, lost: float) -> list[str]:
    """Proposals with several in flight: results come in any order, and some never do."""
    draws = np.random.default_rng([seed, 1])
    flying: dict[int, Proposal] = {}
    proposals: list[str] = []

    def land() -> None:
        number = sorted(flying)[int(draws.integers(len(flying)))]
        proposal = flying.pop(number)
        if draws.random() >= lost:
            algorithm.tell([make_result(algorithm, number, proposal)], list(flying.values()))

    while len(proposals) < count:
        k = len(proposals)
        proposal = propose(algorithm, np.random.default_rng([seed, 2, k]), list(flying.values()))
        if proposal is None and not flying:
            break
        if proposal is not None:
            flying[k] = proposal
            proposals.append(to_json(proposal))
        if proposal is None or len(flying) >= 6:
            land()
    return proposals


def rebuild(algorithm: Algorithm, history: Sequence[Trial]) -> Algorithm:
    """Tell an algorithm a history again, from JSON text, as a resumed study does."""
    for entry in history:
        told = entry.result
        genome, point = json.loads(to_json(entry.proposal))
        algorithm.tell([replace(told, genome=genome, point=point)], [])
    return algorithm


class _Cheap(Evaluator):
    """Rows that depend on the plan and the noise alone, without any sampling."""

    def evaluate(self, task: SampleTask) -> Outcome:
        key = [zlib.crc32(task.plan.identity.encode()), *task.blocks]
        rng = np.random.default_rng(key)
        count = len(task.blocks) * task.block_size
        rows = {
            need: rng.normal(rng.normal(), 1, (count, 2)).astype(np.float32)
            for need in sorted(task.needs)
        }
        return Outcome(task.id, rows=rows, forward_equivalents=task.nominal)


def run_journaled(
    problem: Problem,
    algorithm: Algorithm,
    folder: Path,
    *,
    candidates: int,
) -> tuple[list[dict[str, Any]], str]:
    """The asks of a search, begun or gone on with in ``folder``, and why it ended."""
    fresh = not folder.exists()
    header = make_header(problem, folder.name)
    journal = Journal.create(folder, header) if fresh else Journal.open(folder)
    with journal, InProcessExecutor(_Cheap) as executor:
        prepared = Prepared(problem, make_baselines(problem, {}))
        study = Study.of(journal.history)
        engine = Engine(prepared, algorithm=algorithm, history=study, record=journal.append)
        drive(engine, executor, stopping=lambda: len(study.candidates) >= candidates)
    asks = [event.to_record() for event in read_journal(folder) if isinstance(event, Asked)]
    return asks, study.stops[-1]


def count_objects(algorithm: Algorithm) -> int:
    """The number of containers that an algorithm keeps alive, apart from its space."""
    seen = {id(algorithm.space)}
    todo: list[object] = [algorithm]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray) and value.dtype == object:  # which the collector skips
            todo += value.ravel().tolist()
        todo += [inner for inner in gc.get_referents(value) if gc.is_tracked(inner)]
    return len(seen)


def _share(plan: Plan, key: int) -> float:
    """A number from 0 to 1 that looks random and is the plan's own."""
    return zlib.crc32(f"{key} {plan.identity}".encode()) / 2**32
