"""What an experiment will cost, in candidates and forward equivalents, before any is measured."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from autosearch.algorithms.base import Proposal, Result
from autosearch.baselines import baseline
from autosearch.baselines.fine import TEACHER
from autosearch.baselines.fitted.names import check_name, fit_forwards
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.prepared import fitted_names, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.reference import (
    SETUP_SHARE,
    reference_cost,
    reference_samples,
    shipped_reference,
    teacher_cost,
)
from autosearch.errors import UserError
from autosearch.experiment import Budget

__all__ = ["Costs", "estimate_costs", "proposal_seconds", "setup_advice"]

# Random recipes whose mean cost stands for the search's.
_DRAWS = 100
# Of each cost, validation measures the front, the next two and up to three baselines.
_SEARCHED_PER_COST = 3
_BASELINES_PER_COST = 3
# No candidate takes less than this, in seconds.
_SHORTEST = 1e-4


@dataclass(frozen=True)
class Costs:
    """Counts, and costs in forward equivalents.

    Attributes:
        plans: the baselines' by name; of those to be fitted the plans before that.
        baselines: of measuring them all.
        mean: of a candidate.
        fits: what the fits of baselines estimate, part of the setup.
        setup: what counts against the budget before the first candidate.
        validated: how many recipes are measured again.
        validation: what that costs.
        most: candidates that the algorithm has; None where it has any number.
    """

    plans: dict[str, Plan]
    baselines: float
    mean: float
    fits: float
    setup: float
    validated: int
    validation: float
    most: int | None

    def candidates(self, budget: Budget, *, seconds: float) -> int:
        """Distinct plans that the budget pays for, baselines included, of so many seconds each."""
        counts = [] if self.most is None else [float(self.most)]
        if budget.candidates is not None:
            counts.append(float(budget.candidates))
        if budget.forward_equivalents is not None and self.mean > 0:
            left = budget.forward_equivalents - self.setup - self.baselines
            counts.append(len(self.plans) + max(0.0, left / self.mean))
        if budget.hours is not None:
            counts.append(3600 * budget.hours / max(seconds, _SHORTEST))
        return math.floor(min(counts, default=0.0))

    def search(self, candidates: int) -> float:
        """Forward equivalents of so many candidates, baselines included."""
        return self.baselines + (candidates - len(self.plans)) * self.mean

    def whole(self, candidates: int) -> float:
        """Forward equivalents of a study with so many candidates, from setup to validation."""
        return self.setup + self.search(candidates) + self.validation


def estimate_costs(problem: Problem) -> Costs:
    """What the budget will go to; what reuse and races may save is not estimated.

    Raises:
        UserError: if no baseline can be encoded.
    """
    plans = _baseline_plans(problem)
    if not plans:
        raise UserError("baselines: none can be encoded by the space and keeps the constraints")
    samples = problem.experiment.samples if problem.measure.needs else 0
    fits = fit_forwards(fitted_names(problem), problem.denoiser)
    validated, validation = _validation(problem, plans.values())
    return Costs(
        plans=plans,
        baselines=sum(plan.cost(samples) for plan in plans.values()),
        mean=fmean(_random_costs(problem, samples)),
        fits=fits,
        setup=_setup(problem, fits),
        validated=validated,
        validation=validation,
        most=problem.make_algorithm().most_candidates,
    )


def _baseline_plans(problem: Problem) -> dict[str, Plan]:
    """The baselines' plans by name; of those to be fitted the plans before that."""
    plans = {one.name: one.plan for one in make_baselines(problem, {})}
    for name in fitted_names(problem):
        plans[name] = problem.compile(baseline(check_name(name).unfitted, problem.denoiser))
    return plans


def _random_costs(problem: Problem, samples: int) -> list[float]:
    """Forward equivalents of random recipes that keep the constraints, training included."""
    rng = np.random.default_rng(0)
    plans = [problem.space.plan(problem.space.sample(rng)) for _ in range(_DRAWS)]
    kept = [plan for plan in plans if problem.violation(plan) is None]
    return [plan.cost(samples) for plan in kept or plans]


def _setup(problem: Problem, fits: float) -> float:
    """Fits, the search's teacher where one is needed, and the reference where none is shipped.

    All of it counts against the budget.
    """
    cost = fits + teacher_cost(problem)
    if shipped_reference(problem) is None and problem.report_measure.needs:
        cost += reference_samples(problem, others=fits) * reference_cost(problem)
    return cost


def setup_advice(problem: Problem) -> str | None:
    """What to change where setting up takes more of the budget than it should, in one line."""
    budget = problem.experiment.budget.forward_equivalents
    if budget is None:
        return None
    cost = _setup(problem, fit_forwards(fitted_names(problem), problem.denoiser))
    if cost <= SETUP_SHARE * budget:
        return None
    return (
        f"setup takes about {cost:,.0f} of {budget:,.0f} forward equivalents, before the first "
        f"candidate; use budget.forward_equivalents={cost / SETUP_SHARE:.0f}, fewer samples, or "
        "fewer fitted baselines"
    )


def _cost_of(problem: Problem, name: str) -> float:
    return problem.compile(baseline(name, problem.denoiser)).forward_equivalents


def _validation(problem: Problem, plans: Iterable[Plan]) -> tuple[int, float]:
    """How many recipes are measured again, and what that costs."""
    if not problem.report_measure.needs:
        return 0, 0.0
    groups: dict[int, int] = {}
    for plan in plans:
        groups[plan.nfe] = groups.get(plan.nfe, 0) + 1
    count, cost = 0, _cost_of(problem, TEACHER) if problem.report_measure.needs_teacher else 0.0
    for nfe, baselines in groups.items():
        chosen = _SEARCHED_PER_COST + min(_BASELINES_PER_COST, baselines)
        count += chosen
        cost += chosen * nfe
    return count, cost * problem.experiment.validation.samples


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
    given = [one for one in make_baselines(problem, {}) if not one.foreign]
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
        result = Result(
            len(given) + number, proposal.genome, values, cost=plan.nfe, point=proposal.point
        )
        algorithm.tell([result], [])
        if sum(seconds) > _MOST_SECONDS:
            break
    return fmean(seconds[len(seconds) // 2 :]) if seconds else 0.0


def _made_up(problem: Problem, plan: Plan) -> tuple[float, ...]:
    """Made-up objective values: one that even gaps between times make least, and costs."""
    times = np.array([step.time for step in plan.steps]) / problem.denoiser.schedule.unit
    ends = np.append(times, 0.0)
    gaps = float((np.diff(ends) ** 2).sum())
    return (gaps, *[float(plan.macs)] * (len(problem.objectives) - 1))
