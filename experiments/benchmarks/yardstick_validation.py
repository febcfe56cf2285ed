"""Fresh measurements of the plans on any study's front: each distinct plan once, kept on disk."""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import make_baselines
from autosearch.engine.problem import Problem
from autosearch.engine.reference import measure_reference, shipped_reference
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Executor, SampleTask
from autosearch.engine.workers.collect import run_tasks
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.errors import Infeasible, UserError
from autosearch.experiment import Experiment
from autosearch.experiments.benchmarks.yardstick_merged import Merged, small
from autosearch.objectives import Estimate
from autosearch.study.events import Asked, Estimates, Evaluated, Event, ScaleAxis
from autosearch.study.hypervolume import make_scale
from autosearch.study.study import Study

__all__ = ["Validator"]

_SEED = 0
_FEWEST = "ddim"

Values = dict[str, Estimate]
_VALUES: TypeAdapter[Values] = TypeAdapter(Estimates)
_AXES = TypeAdapter(dict[str, ScaleAxis])


class Validator:
    """Measures plans on the validation stream, whose noise no search has seen.

    Used as a context manager. What was measured is a line of ``validated.jsonl`` in the folder,
    by the plan's identity, and is not measured again.

    Args:
        experiment: gives model, objectives and workers.
        samples: of each plan.
    """

    def __init__(self, experiment: Experiment, folder: Path, samples: int) -> None:
        validation = experiment.validation.model_copy(update={"samples": samples})
        # The reference is measured on the seed too: the axes are the same whoever comes first.
        same = {"validation": validation, "seed": _SEED}
        self.problem = Problem.of(experiment.model_copy(update=same))
        self.samples = samples
        self._folder = folder
        self._path = folder / "validated.jsonl"
        self._known: dict[str, Values] = {}
        self._executor: Executor | None = None

    def __enter__(self) -> "Validator":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._known = dict(self._read())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is not None:
            self._executor.close()

    def measure(self, plans: Mapping[str, Plan]) -> dict[str, Values]:
        """Values by identity; empty for a plan that cannot be measured."""
        todo = {one: plan for one, plan in plans.items() if one not in self._known}
        for identity, values in self._measured(todo):
            self._known[identity] = values
            line = {
                "identity": identity,
                "samples": self.samples,
                "values": _VALUES.dump_python(values),
            }
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
        return {one: self._known[one] for one in plans}

    def axes(self) -> dict[str, ScaleAxis]:
        """The axes of the hypervolume: the model's reference, and ``ddim`` at each step count."""
        path = self._folder / "axes.json"
        if path.exists():
            return _AXES.validate_json(path.read_bytes())
        shipped = shipped_reference(self.problem)
        reference = shipped or measure_reference(self.problem, self._workers())
        study = Study.of([make_header(self.problem, "axes"), reference, *self._fixed()])
        axes = make_scale(study, self.problem.objectives)
        path.write_bytes(_AXES.dump_json(axes, indent=1, exclude_none=True) + b"\n")
        return axes

    def _fixed(self) -> Iterator[Event]:
        """``ddim`` at all step counts, fresh, as baselines of a study."""
        ddim = self.problem.experiment.model_copy(update={"baselines": [_FEWEST]})
        baselines = make_baselines(replace(self.problem, experiment=ddim), {})
        values = self.measure({one.plan.identity: one.plan for one in baselines})
        for number, one in enumerate(baselines):
            yield Asked(
                id=number,
                kind="baseline",
                name=one.name,
                genome=one.genome,
                identity=one.plan.identity,
                nominal=0.0,
                duplicates=0,
                told=0,
            )
            yield Evaluated(
                id=number,
                status="ok",
                reason=None,
                values=values[one.plan.identity],
                samples=self.samples,
                forward_equivalents=0.0,
                seconds=0.0,
            )

    def _measured(self, plans: Mapping[str, Plan]) -> Iterator[tuple[str, Values]]:
        """Identity and values, as they come."""
        if not plans:
            return
        names = list(plans)
        tasks = [self._task(number, plan) for number, plan in enumerate(plans.values())]
        for outcome in run_tasks(self._workers(), tasks):
            name = names[outcome.id]
            values: Values = {}
            if outcome.reason is None:
                with contextlib.suppress(Infeasible):
                    values = self.problem.measure.estimates(
                        plans[name], outcome.rows, samples=self.samples
                    )
            yield name, values

    def _task(self, number: int, plan: Plan) -> SampleTask:
        return SampleTask(
            id=number,
            plan=plan,
            seed=_SEED,
            stream=Stream.VALIDATION,
            blocks=self.problem.blocks(self.samples),
            block_size=self.problem.seed_block,
            needs=self.problem.measure.needs,
        )

    def _workers(self) -> Executor:
        if self._executor is None:
            workers = self.problem.experiment.workers
            made = make_executor(
                functools.partial(ModelEvaluator, self.problem.spec),
                count=workers.count,
                cpus=workers.cpus,
                gpus=workers.gpus,
                kind=workers.executor,
            )
            self._executor = Merged(made) if small(self.problem.experiment) else made
        return self._executor

    def _read(self) -> Iterator[tuple[str, Values]]:
        """What was measured before; an incomplete last line is cut off."""
        if not self._path.exists():
            return
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                entry = json.loads(line)
                samples, identity = entry["samples"], entry["identity"]
                values = _VALUES.validate_python(entry["values"])
            except (ValueError, KeyError, TypeError):
                raise UserError(f"{self._path}, line {number}: damaged; remove the file") from None
            if samples != self.samples:
                raise UserError(
                    f"{self._path}: holds measurements of {samples} samples, not {self.samples}; "
                    "remove it, or give another --out"
                )
            yield identity, values
