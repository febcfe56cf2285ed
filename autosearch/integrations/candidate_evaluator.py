"""Measuring one candidate of an experiment, outside the engine and equal to it."""

import functools
from dataclasses import replace
from typing import Literal

from autosearch.diffusion.threads import one_thread
from autosearch.engine.prepare import make_header, predict_latencies
from autosearch.engine.problem import Problem
from autosearch.engine.recorder import Recorder
from autosearch.engine.reference import sample_teacher
from autosearch.engine.successive_halving import SuccessiveHalving
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import Experiment
from autosearch.spaces.base import Genome
from autosearch.study.events import Evaluated
from autosearch.study.study import Candidate, Study

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
            make = functools.partial(
                ModelEvaluator,
                problem.spec,
                device=device,
                call_cache=experiment.workers.call_cache,
            )
            self._name = name
            self._executor = InProcessExecutor(make)
            study = Study(make_header(problem, name))
            recorder = Recorder(self._executor, study, lambda event: None)
            self.problem = predict_latencies(problem, recorder)
            teacher = sample_teacher(self.problem, recorder)
        self._halving = SuccessiveHalving(self.problem, teacher=teacher)

    def measure(self, genome: Genome, *, first_block: int = 0) -> Evaluated:
        """The result of a candidate; its number, 0, is the caller's to set.

        Args:
            genome: the candidate's.
            first_block: where its seed blocks begin: 0 unless each candidate has its own noise.
        """
        plan = self.problem.space.plan(genome)
        blocks = tuple(first_block + block for block in self.problem.blocks(self._halving.top))
        self._executor.submit(self.problem.search_task(0, plan, blocks))
        outcome = replace(self._executor.wait()[0], worker=self._name)
        # As a baseline, which no race stops.
        candidate = Candidate(0, "baseline", self._name, genome, plan.identity, 0.0)
        with one_thread():
            result = self._halving.take(candidate, plan, outcome)
        assert result is not None
        return result
