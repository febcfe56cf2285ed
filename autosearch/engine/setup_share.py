"""How much of a budget setting up may take, and what a budget is in forwards."""

from collections.abc import Sequence
from statistics import fmean

from autosearch.engine.problem import Problem

__all__ = ["SETUP_SHARE", "budget_in_forwards"]

# The share of a budget that setting up takes at most, where that leaves enough samples.
SETUP_SHARE = 0.2


def budget_in_forwards(problem: Problem, counts: Sequence[int]) -> float:
    """A budget in forward equivalents; 0 where it is of hours alone, which nothing says in advance.

    Args:
        problem: whose budget.
        counts: numbers of steps that candidates may have: what one of a budget in candidates takes
            on average, all counts alike.
    """
    budget = problem.experiment.budget
    limits = []
    if budget.forward_equivalents is not None:
        limits.append(budget.forward_equivalents)
    if budget.candidates is not None:
        limits.append(budget.candidates * fmean(counts) * problem.rungs[-1])
    return min(limits, default=0.0)
