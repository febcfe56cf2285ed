"""What is looked at before anything is written or paid: the same for a run and a dry run."""

import os

import numpy as np

from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.prepared import Given, fitted_names, make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.reference import check_references, setup_advice, setup_cost
from autosearch.engine.warm_start import load_warm_start
from autosearch.engine.workers import runs_here
from autosearch.engine.workers.ray_entry import check_listener
from autosearch.engine.workers.room import check_lag, check_local_room
from autosearch.errors import UserError

__all__ = ["advice", "check_run"]

# Random recipes among which one that may be evaluated is looked for, where no baseline may be.
_DRAWS = 300


def check_run(problem: Problem, *, resuming: bool = False) -> None:
    """Refuse an experiment that a run could not do to its end, as far as that can be known.

    Args:
        problem: the experiment's.
        resuming: whether a study goes on, which has its warm start already.

    Raises:
        UserError: for names, limits and workers that are not possible.
    """
    baselines = make_baselines(problem, {})
    problem.make_algorithm()
    check_references(problem)
    if not baselines and not fitted_names(problem):
        _check_constraints(problem)
    if not resuming:
        load_warm_start(problem.experiment.init)
    _check_workers(problem, resuming=resuming)


def advice(problem: Problem, beyond: str | None = None) -> list[str]:
    """What to change so that an experiment searches more than it does, each in one line.

    Args:
        problem: the experiment's, its baselines settled.
        beyond: what is said of a default list that is beyond its share of the budget.
    """
    setup = setup_advice(problem)
    short = _short_budget(problem, make_baselines(problem, {}))
    return [line for line in (setup, short or beyond) if line is not None]


def _check_constraints(problem: Problem) -> None:
    """Refuse limits that no baseline keeps and no random recipe either.

    Raises:
        UserError: with the limit and the nearest value, or another reason.
    """
    rng = np.random.default_rng(0)
    plans: list[Plan] = []
    reason = None
    for _ in range(_DRAWS):
        plan = problem.random_plan(rng)
        reason = problem.violation(plan)
        if reason is None:
            return
        plans.append(plan)
    for objective in problem.measure.objectives:
        bounds = problem.experiment.constraints.get(objective.name)
        if bounds is None or objective.needs or not objective.ready:
            continue
        values = [float(objective.declared(plan)) for plan in plans]
        nearest = min(values, key=bounds.excess)
        if bounds.excess(nearest) > 0:
            raise UserError(
                f"constraints: no recipe of the space keeps {objective.name} {bounds.text}; the "
                f"nearest of {len(plans)} has {nearest:g}"
            )
    raise UserError(f"constraints: none of {len(plans)} recipes may be evaluated: {reason}")


def _check_workers(problem: Problem, *, resuming: bool) -> None:
    experiment = problem.experiment
    workers, here = experiment.workers, runs_here(experiment.workers)
    count = 1 if here else workers.count
    # A study that goes on keeps its lag, and has some workers wait.
    if count != "auto" and experiment.order == "fixed" and not resuming:
        check_lag(experiment.lag_for(count), count)
    address = workers.address or os.environ.get("RAY_ADDRESS") or "local"
    if here or address == "local":
        check_local_room(count, cpus=0 if here else workers.cpus, gpus=workers.gpus)
    else:
        check_listener(address, where="workers.address" if workers.address else "RAY_ADDRESS")


def _short_budget(problem: Problem, baselines: tuple[Given, ...]) -> str | None:
    """Whether the budget ends among the baselines, in one line."""
    budget, count = problem.experiment.budget, len(baselines) + len(fitted_names(problem))
    if budget.candidates is not None and budget.candidates <= count:
        return (
            f"budget.candidates: {budget.candidates} is no more than the {count} baselines, and "
            "nothing is searched; raise it, or name fewer baselines"
        )
    limit = budget.forward_equivalents
    if limit is None:
        return None
    cost = setup_cost(problem) + sum(one.plan.cost(problem.rungs[-1]) for one in baselines)
    if cost < limit:
        return None
    return (
        f"budget.forward_equivalents: setup and baselines take about {cost:,.0f} of {limit:,.0f}, "
        "and nothing is searched; raise it, or name fewer baselines"
    )
