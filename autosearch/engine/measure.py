"""From rows of samples to estimates of objectives."""

import logging
import numbers
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from autosearch._typing import Rows
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.border import check_rows, checked_estimate, third_party
from autosearch.engine.teacher import DOUBLED, Teacher
from autosearch.errors import Infeasible, MeasurementFailed, UserError, described
from autosearch.models.base import Model
from autosearch.objectives import Estimate, Latency, Objective, block_count, find
from autosearch.study.events import LARGEST

__all__ = ["Measure", "make_objectives"]

# How often an objective is asked that raises.
_ATTEMPTS = 2

_log = logging.getLogger(__name__)

# Rows that are made here, of the fine trajectory's, and the rows of a candidate that they go with.
_TEACHER = {"teacher": "final", "teacher_mse": "final", "teacher_features": "features"}


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same numbers, which nobody changes for others."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _taught(rows: Rows, teacher: Teacher) -> Rows:
    """The fine trajectory's rows that go with a candidate's."""
    distance = np.asarray(rows["final"], np.float64) - np.asarray(teacher.ends, np.float64)
    made = {"teacher": teacher.ends, "teacher_mse": (distance**2).mean(axis=1)}
    return made if teacher.features is None else {**made, "teacher_features": teacher.features}


def _defined(objective: Objective, plan: Plan) -> bool:
    """Whether an objective has a value for a plan; what is only reported may have none."""
    return not (objective.deterministic_only and plan.stochastic)


def make_objectives(names: Sequence[str], *, where: str = "objectives") -> list[Objective]:
    """The objectives of a list of names, each once.

    Raises:
        UserError: for unknown or repeated names.
    """
    if len(set(names)) != len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{where}: {repeated!r} stands twice; name each objective once")
    return [find(name, where=where)() for name in names]


class Measure:
    """What to ask of workers for a set of objectives, and what to make of their answer.

    Args:
        model: what is sampled.
        objectives: what is measured.
        reported: names of those that are only reported: a recipe may do without a value of theirs,
            and is not judged by it.

    Raises:
        UserError: for an objective that the model cannot give.
    """

    def __init__(
        self, model: Model, objectives: Sequence[Objective], reported: Iterable[str] = ()
    ) -> None:
        self.objectives = tuple(objectives)
        self._reported = frozenset(reported)
        # Of which it was said that a recipe has none.
        self._absent: set[str] = set()
        self._model = model
        self._reference = {name: _frozen(array) for name, array in model.reference.items()}
        self._multiple = max(model.denoiser.classes, 1)
        gives = {*model.widths, *model.rewards, "final"}
        gives |= {need for need, own in _TEACHER.items() if own in gives}
        gives |= {"labels"} if model.denoiser.classes else set()
        for objective in objectives:
            lacking = sorted(objective.needs - gives)
            if lacking:
                able = ", ".join(sorted(gives))
                raise UserError(
                    f"objectives: {objective.name!r} needs {', '.join(lacking)}, which model "
                    f"{type(model).name!r} cannot give (it gives {able}); leave it out"
                )

    def with_latency_table(self, table: LatencyTable) -> "Measure":
        """The same, with latencies predicted from a table."""
        sites = self._model.denoiser.sites
        given = [Latency(table, sites) if isinstance(o, Latency) else o for o in self.objectives]
        return self._of(given)

    @property
    def measured(self) -> "Measure":
        """The same without what plans declare."""
        return self._of([o for o in self.objectives if o.needs])

    @property
    def needs_latency_table(self) -> bool:
        """Whether an objective predicts latencies."""
        return any(isinstance(objective, Latency) for objective in self.objectives)

    @property
    def needs(self) -> frozenset[str]:
        """Rows that workers must return; distances to the teacher need the samples."""
        return self._asked - _TEACHER.keys() | self.teacher_needs

    @property
    def teacher_needs(self) -> frozenset[str]:
        """Rows of the fine trajectory that candidates are held against: its ends always."""
        taught = self._asked & _TEACHER.keys()
        return frozenset({"final", *(_TEACHER[need] for need in taught)} if taught else ())

    @property
    def _asked(self) -> frozenset[str]:
        return frozenset().union(*(objective.needs for objective in self.objectives))

    @property
    def needs_teacher(self) -> bool:
        """Whether an objective is a distance to the fine trajectory."""
        return bool(self._asked & _TEACHER.keys())

    def part(self, *, taught: bool) -> "Measure":
        """The objectives that are distances to the fine trajectory, or the others."""
        kept = [o for o in self.objectives if bool(o.needs & _TEACHER.keys()) == taught]
        return self._of(kept)

    def _of(self, objectives: Sequence[Objective]) -> "Measure":
        """The same with other objectives; what was said is not said again."""
        made = Measure(self._model, objectives, self._reported)
        made._absent = self._absent
        return made

    def teacher_errors(
        self, plan: Plan, rows: Rows, finer: Teacher, *, samples: int
    ) -> dict[str, float]:
        """How far the teacher itself is from the truth, by the objectives that ask for it.

        Args:
            plan: the teacher's.
            rows: its rows [samples, ...], by what these objectives need.
            finer: the same with twice the steps.
            samples: how many.

        Raises:
            Infeasible: when either is not finite.
        """
        found = self.part(taught=True).estimates(plan, rows, samples=samples, teacher=finer)
        return {name: DOUBLED * max(one.value, 0.0) for name, one in found.items()}

    def check_samples(self, samples: int, *, where: str) -> None:
        """Refuse a number of samples that is not whole seed blocks, or means nothing.

        Raises:
            UserError: naming the least or the nearest valid number.
        """
        size = self._model.block_size
        if samples < size or samples % size:
            near = max(size, round(samples / size) * size)
            raise UserError(
                f"{where}: {samples} is not a multiple of the seed block of {size}; use {near}"
            )
        block_count(samples, self._multiple)
        for objective in self.objectives:
            least = objective.min_samples(self._model.widths)
            if samples < least:
                rounded = -(-least // size) * size
                raise UserError(
                    f"{where}: {samples} is too few for {objective.name}, which needs at least "
                    f"{least}; use {rounded}"
                )

    def check_plan(self, plan: Plan) -> str | None:
        """Why the plan cannot be measured, or None."""
        for objective in self.objectives:
            if not _defined(objective, plan) and objective.name not in self._reported:
                return f"{objective.name} is not defined for stochastic recipes"
        return None

    def estimates(
        self, plan: Plan, rows: Rows, *, samples: int, teacher: Teacher | None = None
    ) -> dict[str, Estimate]:
        """The estimate of every objective that is defined for the plan, by its name.

        What is only reported is left out where it is not finite, with one warning.

        Args:
            plan: what was run.
            rows: arrays [samples, ...] by need.
            samples: how many.
            teacher: the fine trajectory from the same noise, where needed; distances within its
                own error are raised to it.

        Raises:
            Infeasible: when rows or estimates are not finite.
            MeasurementFailed: when an objective raises, or returns no estimate.
        """
        check_rows(rows, samples)
        given = dict(rows)
        if self.needs_teacher:
            assert teacher is not None
            given |= _taught(rows, teacher)
        blocks = block_count(samples, self._multiple) if self.needs else 0
        given = {name: _frozen(array) for name, array in given.items()}
        found = {}
        for objective in self.objectives:
            if not _defined(objective, plan):
                continue
            try:
                found[objective.name] = self._estimate(objective, plan, given, blocks, samples)
            except MeasurementFailed:
                raise
            except Infeasible as error:
                if objective.name not in self._reported:
                    raise
                self._note_absent(objective.name, error)
        if teacher is None:
            return found
        return {name: teacher.bounded(name, estimate) for name, estimate in found.items()}

    def _note_absent(self, name: str, reason: Infeasible) -> None:
        if name not in self._absent:
            self._absent.add(name)
            _log.warning("report: %s; left out of the recipes without a value", reason)

    def given(self, plan: Plan, values: Mapping[str, float]) -> dict[str, Estimate]:
        """Estimates without errors, from values of the measured objectives by name.

        What plans declare is added.

        Raises:
            UserError: for other names than the measured objectives', or a value that is not finite.
            Infeasible: when what a plan declares is not finite.
        """
        measured = {objective.name for objective in self.objectives if objective.needs}
        if not isinstance(values, Mapping):
            raise UserError(f"a result is {type(values).__name__}; tell values by objective")
        if set(values) != measured:
            wanted = ", ".join(sorted(measured)) or "none"
            got = ", ".join(sorted(values)) or "none"
            raise UserError(f"values of {got} where {wanted} is due")
        for name, value in values.items():
            if not isinstance(value, numbers.Real) or not abs(value) <= LARGEST:
                raise UserError(
                    f"{name}: {value!r} is no finite number; tell Infeasible where there is none"
                )
        return {
            o.name: Estimate(float(values[o.name])) if o.needs else self._estimate(o, plan, {}, 0)
            for o in self.objectives
        }

    def _estimate(
        self, objective: Objective, plan: Plan, rows: Rows, blocks: int, samples: int = 0
    ) -> Estimate:
        """An objective's estimate; one that raises is asked once more.

        Raises:
            Infeasible: where rows or estimate are not finite.
            MeasurementFailed: where it raises again, or returns no estimate.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                return self._estimate_once(objective, plan, dict(rows), blocks, samples)
            except Infeasible:
                raise
            except Exception as error:  # whoever judges a candidate may fail, and ends no search
                broken = next((n for n, a in rows.items() if not np.isfinite(a).all()), None)
                if broken is not None:
                    raise Infeasible(f"{objective.name} is not finite: {broken!r} is not") from None
                reason = described(error)
                if not left:
                    raise MeasurementFailed(reason) from error
                _log.warning("%s; asked again", reason)
        raise AssertionError

    def _estimate_once(
        self, objective: Objective, plan: Plan, rows: Rows, blocks: int, samples: int
    ) -> Estimate:
        try:
            with third_party("objective", objective):
                if objective.needs:
                    estimate = objective.estimate(rows, dict(self._reference), blocks)
                else:
                    estimate = objective.observed(plan, rows, blocks)
        except (np.linalg.LinAlgError, torch.linalg.LinAlgError):  # type: ignore[attr-defined]
            # Samples so large that their squares overflow leave nothing to decompose.
            raise Infeasible(f"{objective.name} is not finite") from None
        return checked_estimate(objective, estimate, samples)
