"""Measuring one candidate of an experiment, outside the engine and equal to it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.threads import one_thread
from autosearch.engine.problem import Problem
from autosearch.engine.reference import sample_reference
from autosearch.engine.workers.base import Task
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor, Runner
from autosearch.engine.workers.timing import measure_latency_table
from autosearch.experiment import Experiment
from autosearch.models.base import Model
from autosearch.models.spec import ModelSpec
from autosearch.spaces.base import Genome
from autosearch.study.study import estimates_to_record

__all__ = ["CandidateEvaluator"]

Measured = dict[str, Any]


class CandidateEvaluator:
    """Does to a candidate what a worker and the search do together: sample, estimate, judge.

    The model is loaded once. The teacher's trajectory, where an objective asks for it, is sampled
    once for each evaluator.

    Args:
        experiment: model, objectives, samples, constraints and seed.
        device: where the model runs.
        name: of the worker, for the records.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        device: Literal["cpu", "cuda"] = "cpu",
        name: str = "outside",
    ) -> None:
        with one_thread():
            self.problem = Problem(experiment)
        self._device = device
        self._runner = Runner(self._make, name=name)
        if self.problem.latencies:
            with InProcessExecutor(self._make) as executor:
                table = measure_latency_table(executor, self.problem.model)[0]
            self.problem.use_latency_table(table)
        self._teacher: NDArray[np.generic] | None = None
        needs = self.problem.measure.needs
        self._samples = experiment.samples if needs else 0

    def measure(self, genome: Genome, *, first_block: int = 0) -> Measured:
        """The result of a candidate in plain data, as a journal's record has it.

        Args:
            genome: the candidate's.
            first_block: where its seed blocks begin: 0 unless each candidate has its own noise.

        Returns:
            ``status`` (``ok`` or ``infeasible``), ``reason``, ``values`` (as
            :func:`autosearch.study.study.estimates_to_record` writes them),
            ``forward_equivalents``, ``seconds``, ``worker``.
        """
        plan = self.problem.space.plan(genome)
        outcome = self._runner.run(self._task(plan, first_block))
        with one_thread():
            status, reason, found = self.problem.judge(
                plan, outcome, samples=self._samples, teacher=self._ends()
            )
        return {
            "status": status,
            "reason": reason,
            "values": estimates_to_record(found),
            "forward_equivalents": outcome.forward_equivalents,
            "seconds": outcome.seconds,
            "worker": outcome.worker,
        }

    def _make(self) -> ModelEvaluator:
        spec = _Loaded(self.problem.spec.name, model=self.problem.model)
        keep = self.problem.experiment.workers.call_cache
        return ModelEvaluator(spec, device=self._device, call_cache=keep)

    def _task(self, plan: Plan, first_block: int) -> Task:
        problem = self.problem
        return Task(
            id=0,
            plan=plan,
            seed=problem.experiment.seed,
            stream=Stream.SEARCH,
            blocks=tuple(first_block + block for block in problem.blocks(self._samples)),
            block_size=problem.seed_block,
            needs=problem.measure.needs,
        )

    def _ends(self) -> NDArray[np.generic] | None:
        """Ends of the teacher's trajectory on the search's noise."""
        if self._teacher is None and self.problem.measure.needs_teacher:
            with InProcessExecutor(self._make) as executor:
                found = sample_reference(
                    self.problem,
                    executor,
                    stream=Stream.SEARCH,
                    seed=self.problem.experiment.seed,
                    samples=self._samples,
                )
            self._teacher = found.rows["final"]
        return self._teacher


@dataclass(frozen=True)
class _Loaded(ModelSpec):
    """A model that is there already, so that a process holds it once."""

    model: Model | None = None

    def load(self) -> Model:
        assert self.model is not None
        return self.model
