"""Measuring one recipe, or two on the same noise."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from autosearch._typing import Rows
from autosearch.baselines.fine import teacher, teacher_name
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import Resolved, resolve
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, check_compatible
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.teacher import CLEAR, LEAST_STEPS, MOST_STEPS, Teacher
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Executor, Outcome
from autosearch.engine.workers.collect import collect, require
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.timing import time_plan
from autosearch.errors import Infeasible, MeasurementFailed, Unmeasured, UserError
from autosearch.models.base import Model
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate, Latency, compare
from autosearch.recipe import Recipe
from autosearch.study.teacher import within

__all__ = [
    "LoadedRecipe",
    "RecipeEvaluation",
    "RecipeEvaluator",
    "default_objectives",
    "load_recipe",
    "paired",
]

_DEFAULT = ("fid", "fid_plain", "fd_pixels", "nfe")
_BASELINE = "baseline:"


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe as the user named it, compiled for one model.

    Attributes:
        resolved: the recipe, and what fitting it to the model took.
        same_weights: false when it was searched on others than the model's.
    """

    name: str
    resolved: Resolved
    plan: Plan
    same_weights: bool

    @property
    def recipe(self) -> Recipe:
        """The recipe as it is run."""
        return self.resolved.recipe


@dataclass(frozen=True)
class RecipeEvaluation:
    """The values of one recipe on its samples, and how fast they were made.

    Attributes:
        forward_equivalents: those that fitting it to the model took, where it is fitted.
        teacher: what its distances to a teacher are to, where it has any.
    """

    name: str
    recipe: Recipe
    samples: int
    seed: int
    values: Mapping[str, Estimate]
    speed: Mapping[str, Any]
    forward_equivalents: float = 0.0
    teacher: Teacher | None = None

    @property
    def within_teacher(self) -> list[str]:
        """The distances that are within the teacher's own error, and not told apart by it."""
        return [] if self.teacher is None else within(self.teacher.errors, self.values)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``autosearch evaluate --json`` prints it."""
        fitted = {"forward_equivalents": self.forward_equivalents}
        return {
            "name": self.name,
            "recipe": self.recipe.to_dict(),
            **(fitted if self.forward_equivalents else {}),
            "samples": self.samples,
            "seed": self.seed,
            "values": {
                name: {"value": estimate.value, "ci": list(estimate.interval())}
                for name, estimate in self.values.items()
            },
            **(
                {}
                if self.teacher is None
                else {
                    "teacher": {
                        "recipe": self.teacher.name,
                        "errors": dict(self.teacher.errors),
                        "within": self.within_teacher,
                    }
                }
            ),
            "speed": dict(self.speed),
        }


def load_recipe(text: str, denoiser: Denoiser, artifact_store: ArtifactStore) -> LoadedRecipe:
    """The recipe that a user names: a file, or ``baseline:SOLVER[-GRID]@STEPS``.

    What it asks to be fitted to the model is. Its artifacts are in the store then; what a file
    asks for is also left in the folder beside it.

    Raises:
        UserError: for a missing or invalid file, an unknown baseline, or another kind of model.
    """
    resolved = _resolve(text, denoiser, artifact_store)
    plan = _compile(text, resolved.recipe, denoiser)
    return LoadedRecipe(text, resolved, plan, check_compatible(resolved.recipe, denoiser))


def _compile(name: str, recipe: Recipe, denoiser: Denoiser) -> Plan:
    try:
        return compile_recipe(recipe, denoiser)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _resolve(text: str, denoiser: Denoiser, artifact_store: ArtifactStore) -> Resolved:
    if text.startswith(_BASELINE):
        return resolve(text.removeprefix(_BASELINE), Calibrator(denoiser, artifact_store))
    path = Path(text)
    if not path.exists():
        name = text if "@" in text else "SOLVER[-GRID]@STEPS"
        raise UserError(f"{text}: no such file; for a baseline write {_BASELINE}{name}")
    beside, recipe = ArtifactStore([path.absolute().parent / FOLDER]), Recipe.load(path)
    artifact_store.take(recipe, beside)
    resolved = resolve(recipe, Calibrator(denoiser, beside))
    artifact_store.take(resolved.recipe, beside)
    return resolved


def default_objectives(model: Model) -> list[str]:
    """Those of the usual objectives that a model can give."""
    return [o.name for o in make_objectives(_DEFAULT) if o.needs <= set(model.widths)]


@dataclass(eq=False)
class RecipeEvaluator:
    """Measures recipes of one model on the ``evaluate`` stream.

    Attributes:
        model: the model.
        artifact_store: in memory; where the recipes' artifacts are looked for.

    Args:
        spec: which model.
        samples: how many; whole seed blocks.
        seed: of the noise.
        objectives: names; by default those of the usual ones that the model can give.
        reported: those of them that a recipe may have no value of.
        samples_from: where the number of samples was given, for messages.
        objectives_from: where the objectives were.
        workers: None for this process, else how many workers.
        device: where the model runs, ``cpu`` or ``cuda``.

    Raises:
        UserError: for objectives or numbers of samples that the model cannot have.
    """

    spec: ModelSpec
    _: KW_ONLY
    samples: int
    seed: int
    objectives: Sequence[str] | None = None
    reported: Sequence[str] = ()
    samples_from: str = "--samples"
    objectives_from: str = "--objectives"
    workers: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device cuda: this machine has no such device; use --device cpu")
        if self.seed < 0:
            raise UserError(f"--seed: {self.seed} is below 0; use 0 or more")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers: {self.workers} is too few; use at least 1")
        self.spec = self.spec.loaded()
        self.model = self.spec.load()
        self.artifact_store = ArtifactStore()
        names = default_objectives(self.model) if self.objectives is None else self.objectives
        if not names:
            raise UserError(f"{self.objectives_from}: name at least one, such as fid,nfe")
        objectives = make_objectives(names, where=self.objectives_from)
        self._measure = Measure(self.model, objectives, self.reported)
        if self._measure.needs:
            self._measure.check_samples(self.samples, where=self.samples_from)

    def evaluate(self, recipes: Mapping[str, Recipe | Resolved]) -> list[RecipeEvaluation]:
        """Measure recipes by name, all on the same noise.

        Raises:
            UserError: when a recipe does not fit the model or cannot be measured.
        """
        resolved = {
            name: one if isinstance(one, Resolved) else Resolved(one)
            for name, one in recipes.items()
        }
        plans = {name: self._plan(name, one.recipe) for name, one in resolved.items()}
        with self._executor() as executor:
            sampled = {name: self._rows(executor, name, plan) for name, plan in plans.items()}
            values = self._judge(executor, plans, {name: one[0] for name, one in sampled.items()})
        return [
            RecipeEvaluation(
                name,
                resolved[name].recipe,
                self.samples,
                self.seed,
                values[0][name],
                speed,
                resolved[name].forward_equivalents,
                values[1],
            )
            for name, (_, speed) in sampled.items()
        ]

    def _rows(self, executor: Executor, name: str, plan: Plan) -> tuple[Rows, dict[str, Any]]:
        """A recipe's rows, and how fast one worker was, on what."""
        outcome = self._sample(executor, name, plan, self._measure.needs)
        rows = dict(outcome.rows)
        if any(isinstance(objective, Latency) for objective in self._measure.objectives):
            timed = time_plan(executor, plan, block_size=self.model.block_size)
            require(name, timed)
            rows |= timed.rows
        local = self.device == "cuda" and self.workers is None
        # With the device's peak memory where it has its own.
        return rows, {
            "device": self.device,
            "batch": self.model.block_size,
            "dtype": str(self.model.denoiser.dtype).removeprefix("torch."),
            "samples_per_second": self.samples / outcome.seconds if outcome.seconds else None,
            "peak_memory_bytes": torch.cuda.max_memory_allocated() if local else None,
        }

    def _judge(
        self, executor: Executor, plans: Mapping[str, Plan], rows: Mapping[str, Rows]
    ) -> tuple[dict[str, dict[str, Estimate]], Teacher | None]:
        """Values by recipe and objective, and a teacher fine enough to tell them apart.

        Its steps are doubled until its own error is a 36th of the least distance, or becomes no
        smaller by it, as it does at the precision of the network's numbers.
        """
        ends: dict[int, Rows] = {}
        steps, teacher, before = LEAST_STEPS, None, math.inf
        while True:
            if self._measure.needs_teacher:
                teacher = self._teacher(executor, steps, ends)
            values = {name: self._values(name, plans[name], rows[name], teacher) for name in plans}
            if teacher is None or 2 * steps > MOST_STEPS:
                return values, teacher
            error = max(teacher.errors.values())
            near = any(
                one[name].value < CLEAR * known
                for one in values.values()
                for name, known in teacher.errors.items()
            )
            if not near or error > before / 2:
                return values, teacher
            steps, before = 2 * steps, error

    def _values(
        self, name: str, plan: Plan, rows: Rows, teacher: Teacher | None
    ) -> dict[str, Estimate]:
        try:
            return self._measure.estimates(plan, rows, samples=self.samples, teacher=teacher)
        except MeasurementFailed as error:
            raise Unmeasured(f"{name}: was not measured: {error}") from None
        except Infeasible as error:
            raise UserError(f"{name}: cannot be measured: {error}; change its steps") from None

    def _plan(self, name: str, recipe: Recipe) -> Plan:
        plan = _compile(name, recipe, self.model.denoiser)
        reason = self._measure.check_plan(plan)
        if reason is not None:
            raise UserError(f"{name}: {reason}; leave it out of {self.objectives_from}")
        return plan

    def _executor(self) -> Executor:
        return make_executor(
            functools.partial(
                ModelEvaluator,
                self.spec,
                device=self.device,
                artifact_store=self.artifact_store,
                call_cache="auto",
            ),
            count=self.workers or 1,
            cpus=1,
            gpus=1 if self.device == "cuda" else 0,
            kind="auto" if self.workers else "inprocess",
        )

    def _sample(self, executor: Executor, name: str, plan: Plan, needs: frozenset[str]) -> Outcome:
        size = self.model.block_size
        outcome = collect(
            executor,
            plan,
            seed=self.seed,
            stream=Stream.EVALUATE,
            blocks=range(self.samples // size),
            block_size=size,
            needs=needs,
        )
        require(name, outcome)
        return outcome

    def _teacher(self, executor: Executor, steps: int, known: dict[int, Rows]) -> Teacher:
        """The teacher of so many steps; ``known`` keeps the rows of those that were run."""
        denoiser, part = self.model.denoiser, self._measure.part(taught=True)
        plans = {n: compile_recipe(teacher(denoiser, n), denoiser) for n in (steps, 2 * steps)}
        for count, plan in plans.items():
            if count not in known:
                outcome = self._sample(executor, teacher_name(count), plan, part.needs)
                known[count] = outcome.rows
        rows, finer = known[steps], Teacher.of(known[2 * steps])
        errors = part.teacher_errors(plans[steps], rows, finer, samples=self.samples)
        return Teacher.of(rows, teacher_name(steps), errors)


def paired(a: RecipeEvaluation, b: RecipeEvaluation) -> dict[str, Any]:
    """``a - b`` for each objective, with the interval of the difference on the same blocks."""
    result = {}
    for name in (name for name in a.values if name in b.values):
        estimate = a.values[name]
        difference, interval = compare(estimate, b.values[name])
        result[name] = {"difference": difference, "ci": list(interval)}
    return result
