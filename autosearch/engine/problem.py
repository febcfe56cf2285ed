"""The problem that an experiment states: a model, a space, objectives and constraints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from autosearch import algorithms, spaces
from autosearch._typing import Rng, Rows
from autosearch.algorithms.base import Algorithm, Proposal
from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import given_by, plain_copy, third_party
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.teacher import Teacher
from autosearch.engine.workers.base import SampleTask
from autosearch.errors import Infeasible, MeasurementFailed, UserError
from autosearch.experiment import Bounds, Experiment
from autosearch.models.base import Model
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate, Objective
from autosearch.recipe import Recipe
from autosearch.registry import construct
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space
from autosearch.study.events import Status

__all__ = ["DEFAULT_BASE", "Judgement", "Problem", "model_spec"]

# Gives the fields that no family of a space owns.
DEFAULT_BASE = "ddim@10"
# Random recipes that stand for a space, where all of them may be of a kind that has no value.
_DRAWS = 64


def model_spec(config: Mapping[str, Any]) -> ModelSpec:
    """The model of an experiment's ``model`` key."""
    options = {key: value for key, value in config.items() if key != "name"}
    return ModelSpec(str(config["name"]), options)


class Judgement(NamedTuple):
    """A candidate's status, why it is infeasible, its values, and whether its judge failed."""

    status: Status
    reason: str | None
    values: dict[str, Estimate]
    failed: bool = False


@dataclass(frozen=True, eq=False)
class Problem:
    """What an experiment states: a model, a space, objectives and constraints.

    Attributes:
        experiment: with every default written out.
        spec: gives workers the model: in this process the same, elsewhere loaded anew.
        model: loaded.
        space: what may vary.
        measure: of the objectives and of what is constrained besides.
        report_measure: of these and of what is reported besides.
        usual: names of baselines, with their steps, that stand for no list of the experiment's or
            for all there are, once they are settled.
    """

    experiment: Experiment
    spec: ModelSpec
    model: Model
    space: Space
    measure: Measure
    report_measure: Measure
    usual: tuple[str, ...] | None = None

    @classmethod
    def of(cls, experiment: Experiment) -> "Problem":
        """The problem of an experiment, checked before any work is paid.

        Raises:
            UserError: for anything in the experiment that cannot be done.
        """
        spec = model_spec(experiment.model).loaded()
        model = spec.load()
        constrained = [name for name in experiment.constraints if name not in experiment.objectives]
        reported = [n for n in experiment.report if n not in experiment.objectives + constrained]
        measured = [
            *make_objectives(experiment.objectives),
            *make_objectives(constrained, where="constraints"),
        ]
        measure = Measure(model, measured)
        report = Measure(model, [*measured, *make_objectives(reported, where="report")], reported)
        space = _make_space(experiment, model.denoiser)
        _check_samples(experiment, measure, report)
        _check_space(space, measure)
        return cls(experiment, spec, model, space, measure, report)

    def with_latency_table(self, table: LatencyTable) -> "Problem":
        """The same problem, with latencies predicted from a table."""
        return replace(
            self,
            measure=self.measure.with_latency_table(table),
            report_measure=self.report_measure.with_latency_table(table),
        )

    @property
    def denoiser(self) -> Denoiser:
        """The model behind one call."""
        return self.model.denoiser

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the search trades off, in the experiment's order."""
        return self.measure.objectives[: len(self.experiment.objectives)]

    @property
    def seed_block(self) -> int:
        """Samples in a batch, which all share a seed."""
        return self.model.block_size

    @property
    def step_counts(self) -> range:
        """The step counts of the space; without any, that of the recipe others are built on."""
        fixed = int(DEFAULT_BASE.partition("@")[2])
        ranges = (family.steps for family in self.space.families if family.steps is not None)
        low, high = next(ranges, (fixed, fixed))
        return range(low, high + 1)

    def blocks(self, samples: int) -> tuple[int, ...]:
        """The seed blocks of so many samples."""
        return tuple(range(samples // self.seed_block))

    def search_task(self, number: int, plan: Plan, blocks: tuple[int, ...]) -> SampleTask:
        """What an executor does for a candidate of the search: sample its plan on seed blocks."""
        seed, needs = self.experiment.seed, self.measure.needs
        return SampleTask(number, plan, seed, Stream.SEARCH, blocks, self.seed_block, needs)

    def compile(self, recipe: Recipe) -> Plan:
        """The plan of a recipe for this model.

        Raises:
            UserError: when the model cannot run it.
        """
        return compile_recipe(recipe, self.denoiser)

    def named_plan(self, name: str) -> Plan:
        """The plan of a baseline by its name, which is not a fitted one.

        Raises:
            UserError: when there is no such baseline, or the model cannot run it.
        """
        return self.compile(baseline(name, self.denoiser))

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
        count = len(self.objectives)
        algorithm: Algorithm = construct(
            kind, settings, self.space, where="algorithm", objectives=count
        )
        return algorithm

    def propose(
        self, algorithm: Algorithm, rng: Rng, pending: Sequence[Proposal]
    ) -> tuple[Proposal, Plan] | None:
        """What an algorithm proposes, as data of its own, and its plan; None where it has nothing.

        Raises:
            PartFailed: when somebody else's algorithm raises, or proposes what is no genome.
        """
        parts = [("algorithm", algorithm), *_families(self.space)]
        with given_by(parts, "genome"):
            asked = algorithm.ask(rng, pending)
            if asked is None:
                return None
            proposal = plain_copy(asked if isinstance(asked, Proposal) else Proposal(asked))
            return proposal, self.space.plan(proposal.genome)

    def random_plan(self, rng: Rng) -> Plan:
        """The plan of a random genome.

        Raises:
            PartFailed: when somebody else's space makes what is no genome.
        """
        return _random_plan(self.space, rng)

    def signed(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Objective values as an algorithm sees them: all to be minimised. The one sign flip."""
        return tuple(
            -values[o.name] if o.direction == "maximize" else values[o.name]
            for o in self.objectives
        )

    def permits(self, genome: Genome) -> bool:
        """Whether a genome's plan may be evaluated."""
        return self.violation(self.space.plan(genome)) is None

    def violation(self, plan: Plan) -> str | None:
        """Why a plan may not be evaluated: declared constraints, objectives it cannot have."""
        for objective in self.measure.objectives:
            bounds = self.experiment.constraints.get(objective.name)
            if bounds is not None and not objective.needs and objective.ready:
                with third_party("objective", objective):
                    declared = float(objective.declared(plan))
                broken = broken_bound(objective.name, declared, bounds)
                if broken:
                    return broken
        return self.measure.check_plan(plan)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Numbers of samples that a candidate may reach; one where there is no racing."""
        samples = self.experiment.samples if self.measure.needs else 0
        return tuple(self.experiment.rungs) or (samples,)

    def judge(
        self, plan: Plan, rows: Rows, *, samples: int, teacher: Teacher | None = None
    ) -> "Judgement":
        """What comes of rows; ``teacher`` is of as many samples, where needed."""
        try:
            values = self.measure.estimates(plan, rows, samples=samples, teacher=teacher)
        except Infeasible as error:
            return Judgement("infeasible", str(error), {}, isinstance(error, MeasurementFailed))
        reason = self.measured_violation({name: e.value for name, e in values.items()})
        return Judgement("infeasible" if reason else "ok", reason, values)

    def measured_violation(self, values: Mapping[str, float]) -> str | None:
        """Why a measured result is infeasible, or None."""
        bounds = self.experiment.constraints.items()
        broken = (broken_bound(name, values[name], bound) for name, bound in bounds)
        return next((reason for reason in broken if reason), None)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """By how much each constraint on a measured objective is broken; kept when at most 0."""
        needs = {objective.name: objective.needs for objective in self.measure.objectives}
        return tuple(
            bounds.excess(values[name])
            for name, bounds in self.experiment.constraints.items()
            if needs[name]
        )


def _families(space: Space) -> list[tuple[str, object]]:
    return [("space", family) for family in space.families]


def _random_plan(space: Space, rng: Rng) -> Plan:
    with given_by(_families(space), "genome"):
        return space.plan(space.sample(rng))


def _make_space(experiment: Experiment, denoiser: Denoiser) -> Space:
    families = [
        construct(spaces.find(name, where="space"), own, denoiser, where=f"space.{name}")
        for name, own in experiment.space.items()
    ]
    return Space(denoiser, families, baseline(DEFAULT_BASE, denoiser))


def _check_samples(experiment: Experiment, measure: Measure, report: Measure) -> None:
    """Refuse noise, rungs, samples and budgets that the objectives cannot do with."""
    if measure.needs_teacher and experiment.noise == "fresh":
        raise UserError(
            "noise: a distance to the teacher is one to what the same noise leads to; use "
            "noise: common"
        )
    if experiment.rungs and (experiment.noise == "fresh" or not measure.needs):
        raise UserError(
            "rungs: candidates are compared on common noise, by what is measured; give samples"
        )
    if measure.needs:
        for samples in experiment.rungs or [experiment.samples]:
            measure.check_samples(samples, where="rungs" if experiment.rungs else "samples")
    elif experiment.budget.candidates is None and experiment.budget.hours is None:
        raise UserError(
            "budget: without a measured objective no forward is run, so forward_equivalents "
            "never end the search; give candidates"
        )
    if report.needs:
        report.check_samples(experiment.validation.samples, where="validation.samples")


def _check_space(space: Space, measure: Measure) -> None:
    """Refuse a space none of whose recipes can have a value of each objective."""
    if not any(objective.deterministic_only for objective in measure.objectives):
        return
    rng = np.random.default_rng(0)
    for _ in range(_DRAWS):
        reason = measure.check_plan(_random_plan(space, rng))
        if reason is None:
            return
    raise UserError(
        f"space: {reason}, and all of its recipes are; leave the noise out of it, or the objective"
    )


def broken_bound(name: str, value: float, bounds: Bounds) -> str | None:
    """A reason when a value is outside its bounds, or no number."""
    if not math.isfinite(value):
        return f"{name} is not finite"
    if bounds.max is not None and value > bounds.max:
        return f"{name} {value:g} is above {bounds.max:g}"
    if bounds.min is not None and value < bounds.min:
        return f"{name} {value:g} is below {bounds.min:g}"
    return None
