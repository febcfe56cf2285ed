"""Measuring one candidate of an experiment, outside the engine and equal to it."""

import functools
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from autosearch.diffusion.noise import Stream
from autosearch.diffusion.threads import one_thread
from autosearch.engine.prepare import make_header, predict_latencies
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.reference import sample_teacher
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import Experiment
from autosearch.spaces.base import Genome
from autosearch.study.events import Evaluated
from autosearch.study.study import Study

__all__ = ["CandidateEvaluator"]


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
            problem = Problem.of(experiment)
        self._name = name
        make = functools.partial(
            ModelEvaluator, problem.spec, device=device, call_cache=experiment.workers.call_cache
        )
        self._executor = InProcessExecutor(make)
        study = Study(make_header(problem, name))
        self._recorder = Recorder(self._executor, study, lambda event: None)
        self.problem = predict_latencies(problem, self._recorder)
        self._samples = experiment.samples if self.problem.measure.needs else 0
        self._teacher: NDArray[np.generic] | None = None

    def measure(self, genome: Genome, *, first_block: int = 0) -> Evaluated:
        """The result of a candidate; its number, 0, is the caller's to set.

        Args:
            genome: the candidate's.
            first_block: where its seed blocks begin: 0 unless each candidate has its own noise.
        """
        plan = self.problem.space.plan(genome)
        self._executor.submit(
            SampleTask(
                id=0,
                plan=plan,
                seed=self.problem.experiment.seed,
                stream=Stream.SEARCH,
                blocks=tuple(first_block + block for block in self.problem.blocks(self._samples)),
                block_size=self.problem.seed_block,
                needs=self.problem.measure.needs,
            )
        )
        outcome = replace(self._executor.wait()[0], worker=self._name)
        with one_thread():
            status, reason, values = self.problem.judge(
                plan, outcome, samples=self._samples, teacher=self._ends()
            )
        return Evaluated(
            id=0,
            status=status,
            reason=reason,
            values=values,
            samples=self._samples,
            forward_equivalents=outcome.forward_equivalents,
            seconds=outcome.seconds,
            worker=outcome.worker,
        )

    def _ends(self) -> NDArray[np.generic] | None:
        """Ends of the teacher's trajectory on the search's noise, where an objective asks."""
        if self._teacher is None:
            self._teacher = sample_teacher(
                self.problem,
                self._recorder,
                self.problem.measure,
                stream=Stream.SEARCH,
                seed=self.problem.experiment.seed,
                samples=self._samples,
            )
        return self._teacher
