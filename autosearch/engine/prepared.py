"""What a search stands on besides its problem: baselines, warm start, reference, teacher."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.baselines.fitted.names import check_name, is_fitted
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import third_party
from autosearch.engine.problem import DEFAULT_BASE, Problem
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Recipe
from autosearch.spaces.base import Genome
from autosearch.spaces.product import fragment
from autosearch.study.events import Event, Header, ReferenceMeasured

__all__ = [
    "Given",
    "Prepared",
    "declared_reach",
    "fitted_names",
    "make_baselines",
    "make_warm_start",
]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Given:
    """A recipe that the search is given: its name, its plan and its genome.

    ``foreign``: the space cannot express it. It is measured like the others, as a yardstick, and no
    algorithm gets to see it; its genome is the recipe itself.
    """

    name: str
    recipe: Recipe
    plan: Plan
    genome: Genome
    foreign: bool = False


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem and what is known before its first candidate.

    Attributes:
        problem: what is searched; its latencies are predicted from a table by now.
        baselines: named recipes that seed the search: distinct plans, in the order of their names.
        warm_start: what other searches found and this model can run.
        reference: what the model reaches with many steps.
        teacher: ends [samples, d] of the fine trajectory on the search's noise, where an
            objective needs them.
        events: the study so far, header first.
    """

    problem: Problem
    baselines: tuple[Given, ...]
    warm_start: tuple[Given, ...] = ()
    reference: ReferenceMeasured | None = None
    teacher: NDArray[np.generic] | None = None
    events: tuple[Event, ...] = ()

    @property
    def header(self) -> Header:
        """The first event of a study that was begun by preparing it."""
        header = self.events[0]
        assert isinstance(header, Header)
        return header

    @property
    def given(self) -> tuple[Given, ...]:
        """All that is evaluated before the algorithm is asked."""
        return self.baselines + self.warm_start


def fitted_names(problem: Problem) -> list[str]:
    """The baselines for which the model has to be measured, with their step counts.

    Raises:
        UserError: for a name that is none.
    """
    names = _with_steps(problem, problem.experiment.baselines or ())
    return [name for name in dict.fromkeys(names) if is_fitted(name)]


def make_baselines(problem: Problem, fits: Mapping[str, Recipe]) -> tuple[Given, ...]:
    """The baselines of a problem whose plans are distinct and may be evaluated.

    Args:
        problem: names them, or takes the default ones of its model's schedule.
        fits: recipes that were fitted to the model, by name; a fitted baseline that is not among
            them is left out.

    Raises:
        UserError: for an unknown name, or one that the model cannot run at any step count.
    """
    named = problem.experiment.baselines
    names = baseline_names(problem.denoiser.schedule) if named is None else named
    made = {
        name: _make_baseline(problem, name, fits, foreign=named is not None)
        for name in _with_steps(problem, names)
    }
    for name in named or ():
        if not any(made[one] or is_fitted(one) for one in _with_steps(problem, [name])):
            raise UserError(f"baselines: the model cannot run {name!r}; leave it out")
    kept: dict[str, Given] = {}
    for one in made.values():
        if one is not None and problem.violation(one.plan) is None:
            kept.setdefault(one.plan.identity, one)
    return tuple(kept.values())


def make_warm_start(
    problem: Problem, recipes: Mapping[str, Recipe], baselines: Sequence[Given]
) -> tuple[Given, ...]:
    """Recipes of other searches, by name, that are no baselines and that this model can run."""
    taken = {one.plan.identity for one in baselines}
    kept: dict[str, Given] = {}
    for name, recipe in recipes.items():
        try:
            plan = problem.compile(recipe)
            reason = problem.violation(plan)
        except UserError as error:
            reason = str(error)
        if reason is not None:
            _log.warning("init: %s is left out: %s", name, reason)
        elif plan.identity not in taken:
            kept.setdefault(plan.identity, _given(problem, name, recipe, plan))
    return tuple(kept.values())


def _with_steps(problem: Problem, names: Sequence[str]) -> list[str]:
    """Full names: every step count of the space for those without one."""
    for name in names:
        _check_baseline(problem, name)
    bare = [name for name in names if "@" not in name]
    full = [f"{name}@{count}" for count in _step_counts(problem) for name in bare]
    return full + [name for name in names if "@" in name]


def _check_baseline(problem: Problem, name: str) -> None:
    try:
        full = name if "@" in name else f"{name}@1"
        parts = split_name(full)
        check_name(full)
    except UserError as error:
        raise UserError(f"baselines: {error}") from None
    grids = grids_for(problem.denoiser.schedule)
    if parts.grid is not None and parts.grid not in grids:
        raise unknown_name("grid", parts.grid, grids, where=f"baselines: {name}")


def _step_counts(problem: Problem) -> Iterator[int]:
    fixed = int(DEFAULT_BASE.partition("@")[2])
    ranges = (family.steps for family in problem.space.families if family.steps is not None)
    low, high = next(ranges, (fixed, fixed))
    return iter(range(low, high + 1))


def declared_reach(problem: Problem) -> dict[str, tuple[float, float]]:
    """The least and the largest declared value of each objective that a search may come to.

    Of the plainest recipe at the fewest and at the most steps of the space, within constraints.
    """
    counts = list(_step_counts(problem))
    solver = DEFAULT_BASE.partition("@")[0]
    plans = []
    for count in (counts[0], counts[-1]):
        try:
            plans.append(problem.compile(baseline(f"{solver}@{count}", problem.denoiser)))
        except UserError:
            continue  # the plainest grid has no such step count
    reach = {}
    for objective in problem.objectives:
        if objective.needs or not objective.ready or not plans:
            continue
        with third_party("objective", objective):
            values = [float(objective.declared(plan)) for plan in plans]
        bounds = problem.experiment.constraints.get(objective.name)
        low = -math.inf if bounds is None or bounds.min is None else bounds.min
        high = math.inf if bounds is None or bounds.max is None else bounds.max
        reach[objective.name] = max(min(values), low), min(max(values), high)
    return reach


def _make_baseline(
    problem: Problem, name: str, fits: Mapping[str, Recipe], *, foreign: bool
) -> Given | None:
    try:
        if is_fitted(name):
            if name not in fits:
                return None
            recipe = fits[name]
        else:
            recipe = baseline(name, problem.denoiser)
        plan = problem.compile(recipe)
    except UserError:
        # A grid that this step count does not have (it would repeat times) is no baseline,
        # nor is a recipe that the model cannot run.
        return None
    made = _given(problem, name, recipe, plan)
    return made if foreign or not made.foreign else None


def _given(problem: Problem, name: str, recipe: Recipe, plan: Plan) -> Given:
    genome = problem.space.encode(recipe)
    foreign = genome is None
    return Given(name, recipe, plan, fragment(recipe) if genome is None else genome, foreign)
