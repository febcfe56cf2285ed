"""Fits that a search starts from where its experiment names no baselines."""

from collections.abc import Sequence

from autosearch.baselines import baseline
from autosearch.baselines.fitted.names import check_name, fit_forwards
from autosearch.diffusion.grids import grids_for
from autosearch.engine.problem import Problem
from autosearch.engine.setup_share import SETUP_SHARE, budget_in_forwards
from autosearch.engine.teacher import LEAST_STEPS
from autosearch.errors import UserError

__all__ = ["FITTED", "default_fits"]

# Solvers whose times are fitted, and the fit: by what is known of them the best starts
# (docs/less-compute.md), the first one first. A space that lacks one starts from the others.
FITTED = ("dpmpp_2m", "taylor_2m")
# Of a space without either, such as times alone.
_PLAIN = "ddim"
_FIT = "moments"
_GRID = "logsnr"
# Spaces of nothing else: what fits say of a whole network holds for no part of it.
_FAMILIES = {"timesteps", "solver"}


def default_fits(problem: Problem, counts: Sequence[int]) -> list[str]:
    """The fits that the search of a problem starts from, with their numbers of steps.

    For each solver in turn those of few steps first, as many as setting up has room for: a fifth of
    the budget, less the least that a teacher takes. None for spaces of more than times and solvers,
    and for a budget in hours alone.

    Args:
        problem: whose experiment names no baselines.
        counts: numbers of steps of its space, ascending.
    """
    named = {family.name for family in problem.space.families}
    if "timesteps" not in named or not named <= _FAMILIES or not problem.measure.needs:
        return []
    room = SETUP_SHARE * budget_in_forwards(problem, counts)
    if problem.measure.needs_teacher:
        room -= 3 * LEAST_STEPS * problem.experiment.samples
    chosen: list[str] = []
    for name in _held(problem, FITTED, counts) or _held(problem, [_PLAIN], counts):
        room -= fit_forwards([name], problem.denoiser)
        if room < 0:
            break
        chosen.append(name)
    return chosen


def _held(problem: Problem, solvers: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The fits of solvers whose recipes the space holds, each distinct plan once."""
    found: dict[str, str] = {}
    for solver in solvers:
        for count in counts:
            name = _name(problem, solver, count)
            identity = _identity(problem, name)
            if identity is not None:  # of few steps two solvers may be one
                found.setdefault(identity, name)
    return list(found.values())


def _name(problem: Problem, solver: str, count: int) -> str:
    grid = f"-{_GRID}" if _GRID in grids_for(problem.denoiser.schedule) else ""
    return f"{solver}{grid}+{_FIT}@{count}"


def _identity(problem: Problem, name: str) -> str | None:
    """Of the plan before it is fitted; None where the space lacks it or it may not be evaluated."""
    try:
        recipe = baseline(check_name(name).unfitted, problem.denoiser)
        plan = problem.compile(recipe)
    except UserError:  # such as a grid that this step count does not have
        return None
    held = problem.violation(plan) is None and problem.space.encode(recipe) is not None
    return plan.identity if held else None
