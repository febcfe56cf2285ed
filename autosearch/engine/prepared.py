"""What a search stands on besides its problem: baselines, warm start, reference, teacher."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.baselines.fitted.names import check_name, is_fitted
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import third_party
from autosearch.engine.default_fits import default_fits, in_order
from autosearch.engine.problem import DEFAULT_BASE, Problem
from autosearch.engine.teacher import Teacher
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import Recipe
from autosearch.spaces.base import Genome
from autosearch.spaces.product import fragment
from autosearch.study.events import Event, Header, ReferenceMeasured

__all__ = [
    "Given",
    "Prepared",
    "candidate_cost",
    "declared_reach",
    "fitted_names",
    "make_baselines",
    "make_warm_start",
    "most_steps",
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
        teacher: the fine trajectory on the search's noise, where an objective needs it.
        events: the study so far, header first.
    """

    problem: Problem
    baselines: tuple[Given, ...]
    warm_start: tuple[Given, ...] = ()
    reference: ReferenceMeasured | None = None
    teacher: Teacher | None = None
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
    named = problem.experiment.baselines
    if named is None:
        return default_fits(problem, list(_step_counts(problem)))
    return [name for name in dict.fromkeys(_with_steps(problem, named)) if is_fitted(name)]


def most_steps(problem: Problem) -> int:
    """The most steps that a candidate or a named baseline of a problem may have."""
    named = _with_steps(problem, problem.experiment.baselines or ())
    return max([*_step_counts(problem), *(split_name(name).steps for name in named)])


def candidate_cost(problem: Problem) -> float:
    """Forward equivalents of the costliest candidate that is known before a search.

    On the search's samples; of the named baselines, or of the recipe that others are built on.
    """
    plans = [one.plan for one in make_baselines(problem, {})]
    plans = plans or [problem.named_plan(DEFAULT_BASE)]
    return max(plan.cost(problem.rungs[-1]) for plan in plans)


def make_baselines(problem: Problem, fits: Mapping[str, Recipe]) -> tuple[Given, ...]:
    """The baselines of a problem whose plans are distinct and may be evaluated.

    Args:
        problem: names them, or takes the default ones of its model's schedule and, where there is
            room, fits.
        fits: recipes that were fitted to the model, by name; a fitted baseline that is not among
            them is left out.

    Raises:
        UserError: for an unknown name, or one that the model cannot run at any step count.
    """
    named, denoiser = problem.experiment.baselines, problem.denoiser
    usual = baseline_names(denoiser.schedule, own_grids=denoiser.own_grids)
    full = _with_steps(problem, usual if named is None else named)
    # Fits come first: a short budget ends among the others.
    names = [*in_order(fits), *full] if named is None else full
    made = {name: _make_baseline(problem, name, fits, foreign=named is not None) for name in names}
    for name in named or ():
        results = [made[one] for one in _with_steps(problem, [name]) if not is_fitted(one)]
        if results and all(isinstance(one, UserError) for one in results):
            raise UserError(f"baselines: {name!r} cannot run on this model: {results[0]}")
        _check_measured(problem, name, [one for one in results if isinstance(one, Given)])
    kept: dict[str, Given] = {}
    for one in made.values():
        if isinstance(one, Given) and problem.violation(one.plan) is None:
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
) -> Given | UserError | None:
    """A baseline, why the model cannot run it, or None for one that is no candidate here."""
    try:
        if is_fitted(name):
            if name not in fits:
                return None
            recipe = fits[name]
        else:
            recipe = baseline(name, problem.denoiser)
        plan = problem.compile(recipe)
    except UserError as error:
        # Such as a grid that this step count does not have.
        return error
    made = _given(problem, name, recipe, plan)
    return made if foreign or not made.foreign else None


def _check_measured(problem: Problem, name: str, made: Sequence[Given]) -> None:
    """Refuse a named baseline that an objective has no value for, whatever its steps."""
    reasons = [problem.measure.check_plan(one.plan) for one in made]
    if reasons and all(reasons):
        raise UserError(f"baselines: {name}: {reasons[0]}; leave it out, or the objective")


def _given(problem: Problem, name: str, recipe: Recipe, plan: Plan) -> Given:
    genome = problem.space.encode(recipe)
    foreign = genome is None
    return Given(name, recipe, plan, fragment(recipe) if genome is None else genome, foreign)
