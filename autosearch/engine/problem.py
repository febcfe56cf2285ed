"""The problem that an experiment states: model, space, objectives, baselines."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autosearch import algorithms, spaces
from autosearch.algorithms.base import Algorithm
from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.baselines.fitted.names import check_name, is_fitted
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.workers.base import Outcome
from autosearch.errors import Infeasible, UserError, unknown_name
from autosearch.experiment import Bounds, Experiment
from autosearch.models.base import Model
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate, Latency
from autosearch.recipe import Recipe
from autosearch.registry import construct
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space, fragment

__all__ = ["Baseline", "Problem", "model_spec"]

_log = logging.getLogger(__name__)

# Gives the fields that no family of a space owns.
_DEFAULT_BASE = "ddim@10"


@dataclass(frozen=True)
class Baseline:
    """A named recipe, its plan and its genome.

    ``foreign``: the space cannot express it. It is measured like the others, as a yardstick, and no
    algorithm gets to see it; its genome is the recipe itself.
    """

    name: str
    recipe: Recipe
    plan: Plan
    genome: Genome
    foreign: bool = False


def model_spec(config: Mapping[str, Any]) -> ModelSpec:
    """The model of an experiment's ``model`` key."""
    options = {key: value for key, value in config.items() if key != "name"}
    return ModelSpec(str(config["name"]), options)


class Problem:
    """Everything that a search needs besides an algorithm's state and workers.

    Raises:
        UserError: for anything in the experiment that cannot be done, before any work is paid.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.spec = model_spec(experiment.model)
        self.model: Model = self.spec.load()
        self.denoiser = self.model.denoiser
        self.objectives = make_objectives(experiment.objectives)
        constrained = [name for name in experiment.constraints if name not in experiment.objectives]
        extra = make_objectives(constrained, where="constraints")
        self.measure = Measure(self.model, [*self.objectives, *extra])
        reported = [n for n in experiment.report if n not in experiment.objectives + constrained]
        self.report_measure = Measure(
            self.model, [*self.measure.objectives, *make_objectives(reported, where="report")]
        )
        self.space = self._make_space()
        # Recipes that were fitted to the model, by name.
        self._fits: dict[str, Recipe] = {}
        self._warm_start: dict[str, Recipe] = {}
        if self.measure.needs_teacher and experiment.noise == "fresh":
            raise UserError(
                "noise: a distance to the teacher is one to what the same noise leads to; use "
                "noise: common"
            )
        if experiment.rungs and (experiment.noise == "fresh" or not self.measure.needs):
            raise UserError(
                "rungs: candidates are compared on common noise, by what is measured; give samples"
            )
        if self.measure.needs:
            for samples in experiment.rungs or [experiment.samples]:
                self.measure.check_samples(
                    samples, where="rungs" if experiment.rungs else "samples"
                )
        elif experiment.budget.candidates is None and experiment.budget.hours is None:
            raise UserError(
                "budget: without a measured objective no forward is run, so forward_equivalents "
                "never end the search; give candidates"
            )
        if self.report_measure.needs:
            self.report_measure.check_samples(
                experiment.validation.samples, where="validation.samples"
            )

    @property
    def seed_block(self) -> int:
        """Samples in a batch, which all share a seed."""
        return self.model.block_size

    @property
    def latencies(self) -> list[Latency]:
        """The objectives that predict from a table, which they are to be given first."""
        return [one for one in self.report_measure.objectives if isinstance(one, Latency)]

    def use_latency_table(self, table: LatencyTable) -> None:
        """Predict latencies from a table."""
        for objective in self.latencies:
            objective.use_table(table, self.denoiser.sites)

    @cached_property
    def fitted_names(self) -> list[str]:
        """The baselines for which the model has to be measured, with their step counts."""
        names = self.experiment.baselines or ()
        return [name for name in dict.fromkeys(self._with_steps(names)) if is_fitted(name)]

    def use_warm_start(self, recipes: Mapping[str, Recipe]) -> None:
        """Take in what the search starts from besides its baselines."""
        self._warm_start = dict(recipes)
        self.__dict__.pop("warm_start", None)

    @cached_property
    def warm_start(self) -> list[Baseline]:
        """Recipes of other searches that are no baselines and that this model can run."""
        baselines = {one.plan.identity for one in self.baselines}
        kept: dict[str, Baseline] = {}
        for name, recipe in self._warm_start.items():
            try:
                plan = self.compile(recipe)
                reason = self.violation(plan)
            except UserError as error:
                reason = str(error)
            if reason is not None:
                _log.warning("init: %s is left out: %s", name, reason)
            elif plan.identity not in baselines:
                kept.setdefault(plan.identity, self._as_baseline(name, recipe, plan))
        return list(kept.values())

    def use_fits(self, fits: Mapping[str, Recipe]) -> None:
        """Take in the recipes of :attr:`fitted_names`; without them they are no baselines."""
        self._fits = dict(fits)
        self.__dict__.pop("baselines", None)

    def blocks(self, samples: int) -> tuple[int, ...]:
        """The seed blocks of so many samples."""
        return tuple(range(samples // self.seed_block))

    def compile(self, recipe: Recipe) -> Plan:
        """The plan of a recipe for this model.

        Raises:
            UserError: when the model cannot run it.
        """
        return compile_recipe(recipe, self.denoiser)

    def make_algorithm(self) -> Algorithm:
        """The experiment's algorithm, knowing nothing yet."""
        settings = dict(self.experiment.algorithm)
        name = settings.pop("name")
        kind: type[Algorithm] = algorithms.find(name, where="algorithm")
        wanted, most = self.experiment.budget.candidates, kind.most_candidates
        if wanted is not None and most is not None and wanted > most:
            raise UserError(
                f"budget.candidates: {wanted} is above the {most} that algorithm {name!r} can "
                f"bear; use at most {most}, or another algorithm"
            )
        algorithm: Algorithm = construct(
            kind,
            settings,
            self.space,
            where="algorithm",
            objectives=len(self.objectives),
        )
        return algorithm

    def signed(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Objective values as an algorithm sees them: all to be minimised. The one sign flip."""
        return tuple(
            -values[o.name] if o.direction == "maximize" else values[o.name]
            for o in self.objectives
        )

    @cached_property
    def baselines(self) -> list[Baseline]:
        """The baselines that seed the search: distinct plans, in the order of their names."""
        given = self.experiment.baselines
        names = baseline_names(self.denoiser.schedule) if given is None else given
        made = {
            name: self._make_baseline(name, foreign=given is not None)
            for name in self._with_steps(names)
        }
        for name in given or ():
            full = self._with_steps([name])
            if not any(made[one] or is_fitted(one) for one in full):
                raise UserError(f"baselines: the model cannot run {name!r}; leave it out")
        kept: dict[str, Baseline] = {}
        for one in made.values():
            if one is not None and self.violation(one.plan) is None:
                kept.setdefault(one.plan.identity, one)
        return list(kept.values())

    def permits(self, genome: Genome) -> bool:
        """Whether a genome's plan may be evaluated."""
        return self.violation(self.space.plan(genome)) is None

    def violation(self, plan: Plan) -> str | None:
        """Why a plan may not be evaluated: declared constraints, objectives it cannot have."""
        for objective in self.measure.objectives:
            bounds = self.experiment.constraints.get(objective.name)
            if bounds is not None and not objective.needs and objective.ready:
                broken = broken_bound(objective.name, objective.declared(plan), bounds)
                if broken:
                    return broken
        return self.measure.check_plan(plan)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Numbers of samples that a candidate may reach; one where there is no racing."""
        samples = self.experiment.samples if self.measure.needs else 0
        return tuple(self.experiment.rungs) or (samples,)

    def judge(
        self,
        plan: Plan,
        outcome: Outcome,
        *,
        samples: int,
        teacher: NDArray[np.generic] | None = None,
    ) -> tuple[str, str | None, dict[str, Estimate]]:
        """Status, reason and values of an outcome; ``teacher`` is [samples, d] where needed."""
        if outcome.reason is not None:
            return "infeasible", outcome.reason, {}
        try:
            values = self.measure.estimates(plan, outcome.rows, samples=samples, teacher=teacher)
        except Infeasible as error:
            return "infeasible", str(error), {}
        reason = self.measured_violation({name: e.value for name, e in values.items()})
        return ("infeasible" if reason else "ok"), reason, values

    def measured_violation(self, values: Mapping[str, float]) -> str | None:
        """Why a measured result is infeasible, or None."""
        bounds = self.experiment.constraints.items()
        broken = (broken_bound(name, values[name], bound) for name, bound in bounds)
        return next((reason for reason in broken if reason), None)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """By how much each constraint on a measured objective is broken; kept when at most 0."""
        needs = {objective.name: objective.needs for objective in self.measure.objectives}
        return tuple(
            excess(values[name], bounds)
            for name, bounds in self.experiment.constraints.items()
            if needs[name]
        )

    def _make_space(self) -> Space:
        settings = dict(self.experiment.space)
        families = [
            construct(spaces.find(name, where="space"), own, self.denoiser, where=f"space.{name}")
            for name, own in settings.items()
        ]
        base = baseline(_DEFAULT_BASE, self.denoiser)
        return Space(self.denoiser, families, base)

    def _with_steps(self, names: Sequence[str]) -> list[str]:
        """Full names: every step count of the space for those without one."""
        for name in names:
            self._check_baseline(name)
        low, high = self._step_range()
        bare = [name for name in names if "@" not in name]
        full = [f"{name}@{count}" for count in range(low, high + 1) for name in bare]
        return full + [name for name in names if "@" in name]

    def _check_baseline(self, name: str) -> None:
        try:
            full = name if "@" in name else f"{name}@1"
            parts = split_name(full)
            check_name(full)
        except UserError as error:
            raise UserError(f"baselines: {error}") from None
        grids = grids_for(self.denoiser.schedule)
        if parts.grid is not None and parts.grid not in grids:
            raise unknown_name("grid", parts.grid, grids, where=f"baselines: {name}")

    def _step_range(self) -> tuple[int, int]:
        for family in self.space.families:
            if family.steps is not None:
                return family.steps
        count = int(_DEFAULT_BASE.partition("@")[2])
        return count, count

    def _make_baseline(self, name: str, *, foreign: bool) -> Baseline | None:
        try:
            if is_fitted(name):
                if name not in self._fits:
                    return None
                recipe = self._fits[name]
            else:
                recipe = baseline(name, self.denoiser)
            plan = self.compile(recipe)
        except UserError:
            # A grid that this step count does not have (it would repeat times) is no baseline,
            # nor is a recipe that the model cannot run.
            return None
        made = self._as_baseline(name, recipe, plan)
        return made if foreign or not made.foreign else None

    def _as_baseline(self, name: str, recipe: Recipe, plan: Plan) -> Baseline:
        genome = self.space.encode(recipe)
        if genome is not None:
            return Baseline(name, recipe, plan, genome)
        return Baseline(name, recipe, plan, fragment(recipe), foreign=True)


def broken_bound(name: str, value: float, bounds: Bounds) -> str | None:
    """A reason when a value is outside its bounds."""
    if bounds.max is not None and value > bounds.max:
        return f"{name} {value:g} is above {bounds.max:g}"
    if bounds.min is not None and value < bounds.min:
        return f"{name} {value:g} is below {bounds.min:g}"
    return None


def excess(value: float, bounds: Bounds) -> float:
    """How far a value is outside its bounds; negative or 0 inside. Without bounds it is 0."""
    over = [value - bounds.max] if bounds.max is not None else []
    under = [bounds.min - value] if bounds.min is not None else []
    return max([*over, *under], default=0.0)
