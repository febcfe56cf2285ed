"""How long an algorithm takes for a proposal, found by letting it search without a model."""

import time
from statistics import fmean

import numpy as np

from autosearch.algorithms.base import Proposal, Result
from autosearch.plan import Plan
from autosearch.problem import Problem

__all__ = ["proposal_seconds"]

_MOST_SECONDS = 2.0
_MOST = 100


def proposal_seconds(problem: Problem, *, most: int) -> float:
    """Processor time of a proposal, its plan included; 0 where there is none.

    The algorithm is told made-up values that are smooth in the times, as a quality is: of the
    baselines, then of what it proposes, two seconds long or a hundred times, and ``most`` times at
    most. The mean is over the second half of them.
    """
    algorithm = problem.make_algorithm()
    algorithm.permits = problem.permits
    given = [known for known in problem.baselines if not known.foreign]
    results = [
        Result(number, one.genome, _made_up(problem, one.plan), cost=one.plan.nfe, baseline=True)
        for number, one in enumerate(given)
    ]
    algorithm.tell(results, [])
    seconds: list[float] = []
    for number in range(min(most, _MOST)):
        start = time.process_time()
        asked = algorithm.ask(np.random.default_rng([0, number]), [])
        if asked is None:
            break
        proposal = asked if isinstance(asked, Proposal) else Proposal(asked)
        plan = problem.space.plan(proposal.genome)
        seconds.append(time.process_time() - start)
        values = _made_up(problem, plan)
        told = Result(
            len(given) + number, proposal.genome, values, cost=plan.nfe, point=proposal.point
        )
        algorithm.tell([told], [])
        if sum(seconds) > _MOST_SECONDS:
            break
    return fmean(seconds[len(seconds) // 2 :]) if seconds else 0.0


def _made_up(problem: Problem, plan: Plan) -> tuple[float, ...]:
    """As many values as there are objectives: one that even gaps make least, and costs."""
    times = np.array([step.time for step in plan.steps]) / problem.denoiser.schedule.unit
    ends = np.append(times, 0.0)
    gaps = float((np.diff(ends) ** 2).sum())
    return (gaps, *[float(plan.macs)] * (len(problem.objectives) - 1))
