"""What a search stands on besides its problem: baselines, warm start, reference, teacher."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.baselines.fitted.names import check_name, is_fitted
from autosearch.diffusion.grids import check_grid
from autosearch.engine.border import third_party
from autosearch.engine.default_baselines import default_baselines
from autosearch.engine.default_fits import default_fits
from autosearch.engine.given import Given, named_recipe
from autosearch.engine.problem import DEFAULT_BASE, Problem
from autosearch.engine.teacher import Teacher
from autosearch.errors import UserError
from autosearch.experiment import ALL_BASELINES
from autosearch.recipe import Recipe
from autosearch.study.events import Event, Header, ReferenceMeasured
from autosearch.study.study import Study

__all__ = [
    "Given",
    "Prepared",
    "candidate_cost",
    "continued",
    "declared_reach",
    "fitted_names",
    "make_baselines",
    "make_warm_start",
    "most_steps",
    "settle_baselines",
]

_log = logging.getLogger(__name__)


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


def settle_baselines(problem: Problem) -> tuple[Problem, str | None]:
    """The problem with its default baselines, which a study records.

    Returns:
        The problem itself where its experiment names baselines, or they are settled; and what to
        change where the default list takes more than its share of the budget.
    """
    if problem.experiment.baselines is not None or problem.usual is not None:
        return problem, None
    chosen, fits = default_baselines(problem), default_fits(problem, list(problem.step_counts))
    # Fits come first: a short budget ends among the others.
    return replace(problem, usual=(*fits, *chosen.names)), chosen.advice


def continued(problem: Problem, study: Study) -> Problem:
    """The problem with the baselines of a study that goes on, where it names none or all of them.

    Of all of them a study has those that there were when it began.
    """
    listed, recorded = problem.experiment.baselines, study.header.baselines
    if listed is None and recorded is not None:
        fits = default_fits(problem, list(problem.step_counts))
        kept = [name for name in recorded if _is_plain(name) or name in fits]
        return replace(problem, usual=tuple(kept))
    if listed is not None and ALL_BASELINES not in listed:
        return problem
    named = set(_with_steps(problem, _named(problem)))
    asked = [str(c.name) for c in study.candidates.values() if c.kind == "baseline"]
    begun = [name for name in asked if _is_plain(name) or name in named]
    if len(asked) < len(study.candidates):
        return replace(problem, usual=tuple(begun))
    # It has not come to the end of them.
    update = {"baselines": [ALL_BASELINES] if listed is None else listed}
    every = replace(problem, experiment=problem.experiment.model_copy(update=update), usual=None)
    rest = [*(one.name for one in make_baselines(every, {})), *fitted_names(every)]
    return replace(problem, usual=tuple(dict.fromkeys([*begun, *rest])))


def fitted_names(problem: Problem) -> list[str]:
    """The baselines for which the model has to be measured, with their step counts.

    Raises:
        UserError: for a name that is none.
    """
    problem, _ = settle_baselines(problem)
    names = _with_steps(problem, [*(problem.usual or ()), *_named(problem)])
    return [name for name in dict.fromkeys(names) if is_fitted(name)]


def most_steps(problem: Problem) -> int:
    """The most steps that a candidate or a named baseline of a problem may have."""
    named = _with_steps(problem, _named(problem))
    counts: list[int] = [*problem.step_counts, *(split_name(name).steps for name in named)]
    return max(counts)


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
        problem: names them, or all there are, or takes the default ones and, where there is room,
            fits.
        fits: recipes that were fitted to the model, by name; a fitted baseline that is not among
            them is left out.

    Raises:
        UserError: for an unknown name, or one that the model cannot run at any step count.
    """
    problem, _ = settle_baselines(problem)
    listed, named = problem.experiment.baselines, _named(problem)
    usual: Sequence[str] = problem.usual or ()
    if listed is not None and ALL_BASELINES in listed and problem.usual is None:
        schedule, own_grids = problem.denoiser.schedule, problem.denoiser.own_grids
        usual = baseline_names(schedule, own_grids=own_grids)
    full = _with_steps(problem, named)
    # What stands there by name, or was chosen, may be a yardstick.
    trusted = {*full, *(usual if listed is None else ())}
    made = {
        name: _make_baseline(problem, name, fits, foreign=name in trusted)
        for name in dict.fromkeys([*_with_steps(problem, usual), *full])
    }
    for name in named:
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
            kept.setdefault(plan.identity, Given.of(problem, name, recipe, plan))
    return tuple(kept.values())


def _is_plain(name: str) -> bool:
    """Whether a name in a journal, which may be a stranger's, is of nothing that reads a file."""
    return "+" not in name


def _named(problem: Problem) -> list[str]:
    """The baselines that stand there by name."""
    return [name for name in problem.experiment.baselines or () if name != ALL_BASELINES]


def _with_steps(problem: Problem, names: Sequence[str]) -> list[str]:
    """Full names: every step count of the space for those without one."""
    for name in names:
        _check_baseline(problem, name)
    bare = [name for name in names if "@" not in name]
    full = [f"{name}@{count}" for count in problem.step_counts for name in bare]
    return full + [name for name in names if "@" in name]


def _check_baseline(problem: Problem, name: str) -> None:
    try:
        full = name if "@" in name else f"{name}@1"
        parts = split_name(full)
        check_name(full)
    except UserError as error:
        raise UserError(f"baselines: {error}") from None
    if parts.grid is not None:
        try:
            check_grid(parts.grid, problem.denoiser.schedule)
        except UserError as error:
            raise UserError(f"baselines: {name}: {error}") from None


def declared_reach(problem: Problem) -> dict[str, tuple[float, float]]:
    """The least and the largest declared value of each objective that a search may come to.

    Of the plainest recipe at the fewest and at the most steps of the space, within constraints.
    """
    counts = problem.step_counts
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
            made: Given | UserError = Given.of(problem, name, fits[name])
        else:
            made = named_recipe(problem, name)
    except UserError as error:
        return error
    if isinstance(made, UserError):
        return made
    return made if foreign or not made.foreign else None


def _check_measured(problem: Problem, name: str, made: Sequence[Given]) -> None:
    """Refuse a named baseline that an objective has no value for, whatever its steps."""
    reasons = [problem.measure.check_plan(one.plan) for one in made]
    if reasons and all(reasons):
        raise UserError(f"baselines: {name}: {reasons[0]}; leave it out, or the objective")
