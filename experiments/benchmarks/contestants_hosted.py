"""Other libraries' multi-objective searches over a space's box, each in its own ask-and-tell loop.

They run as they ship: nothing of this project's operators, starts or racing helps them. What they
propose twice (two points of a box can be one plan) is answered from memory and costs nothing.
"""

from abc import abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import NSGAIISampler
from optuna.trial import TrialState
from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2
from pymoo.algorithms.moo.sms import SMSEMOA as PymooSMSEMOA
from pymoo.core.evaluator import Evaluator
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.termination import NoTermination
from pymoo.operators.sampling.rnd import FloatRandomSampling
from pymoo.problems.static import StaticProblem

from autosearch.algorithms.base import Algorithm, Point, Proposal, Result, Rng
from autosearch.algorithms.box_points import UnitBox
from autosearch.algorithms.optuna_box import distribution
from autosearch.experiments.benchmarks.contestants_boxed import boxed
from autosearch.spaces.product import Space

__all__ = ["Hosted", "OptunaNSGA2", "StockNSGA2", "StockSMSEMOA"]

Array = NDArray[np.float64]
Values = tuple[float, ...] | None
# Yields a point of the box, is sent what it came to, and never ends of itself.
Loop = Generator[Point, Values, None]

# How many points that are known already may follow one another.
_TRIES = 10_000


@dataclass(frozen=True)
class Given:
    """A baseline as a point of the box, or near it, with the baseline's own values."""

    point: Point
    values: tuple[float, ...]


class Hosted(Algorithm):
    """A loop of another library that wants one answer before it goes on.

    One proposal at a time: with one pending there is nothing to propose. All draws come from
    ``seed``, so the state is a function of what was told.

    Args:
        seed: of the library's own generator.
        given: whether the loop starts from the study's baselines.
    """

    def __init__(self, space: Space, *, objectives: int, seed: int, given: bool = False) -> None:
        super().__init__(space, objectives=objectives)
        self.seed = seed
        self._box = UnitBox(space.box())
        self._wants_given = given
        self._given: list[Given] = []
        self._known: dict[str, Values] = {}
        self._loop: Loop | None = None
        self._next: Proposal | None = None

    @abstractmethod
    def loop(self, given: Sequence[Given]) -> Loop:
        """The library's search."""

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Proposal | None:
        if pending:
            return None
        if self._loop is None:
            self._loop = self.loop(self._given)
            self._advance(next(self._loop))
        return self._next

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is None:
                continue
            if result.baseline:
                if self._wants_given and result.values is not None:
                    self._given.append(Given(boxed(self.space, result.genome), result.values))
                continue
            if self._next is None:
                self.ask(np.random.default_rng(0), [])
            assert self._loop is not None
            self._known[self._identity(result)] = result.values
            self._advance(self._loop.send(result.values))

    def _advance(self, point: Point) -> None:
        """To the next point whose plan is not known yet."""
        assert self._loop is not None
        for _ in range(_TRIES):
            genome = self.space.from_box(point)
            identity = self.space.plan(genome).identity
            if identity not in self._known:
                self._next = Proposal(genome, point)
                return
            point = self._loop.send(self._known[identity])
        self._next = None

    def _identity(self, result: Result) -> str:
        assert result.genome is not None
        return self.space.plan(result.genome).identity


class StockNSGA2(Hosted):
    """pymoo's NSGA-II with its own SBX and polynomial mutation on the unit cube of the box.

    Args:
        population: of its generations; pymoo's default is 100.
    """

    name = "stock_nsga2"
    summary = "pymoo's NSGA-II on the box"
    kind: ClassVar[Any] = PymooNSGA2

    def __init__(
        self, space: Space, *, objectives: int, seed: int, population: int, given: bool = False
    ) -> None:
        super().__init__(space, objectives=objectives, seed=seed, given=given)
        self.population = population

    def loop(self, given: Sequence[Given]) -> Loop:
        size = self._box.dimension
        problem = PymooProblem(
            n_var=size, n_obj=self.objectives, xl=np.zeros(size), xu=np.ones(size)
        )
        algorithm = self.kind(pop_size=self.population, sampling=self._start(problem, given))
        algorithm.setup(problem, seed=self.seed, termination=NoTermination())
        worst = np.zeros(self.objectives)
        while True:
            infills = algorithm.ask()
            for individual in infills:
                if len(individual.evaluated):
                    continue
                values = yield self._box.point(individual.X)
                # Infeasible: no better than the worst that was seen.
                worst = np.maximum(worst, values or worst)
                one = Population.create(individual)
                Evaluator().eval(StaticProblem(problem, F=np.array([values or worst])), one)
            algorithm.tell(infills=infills)

    def _start(self, problem: PymooProblem, given: Sequence[Given]) -> object:
        """Baselines with their values, filled up with random points."""
        if not given:
            return FloatRandomSampling()
        known = Population.new(X=np.array([self._box.unit(one.point) for one in given]))
        values = np.array([one.values for one in given])
        Evaluator().eval(StaticProblem(problem, F=values), known)
        missing = max(self.population - len(known), 0)
        random = np.random.default_rng(self.seed).random((missing, problem.n_var))
        return Population.merge(known, Population.new(X=random)) if missing else known


class StockSMSEMOA(StockNSGA2):
    """pymoo's SMS-EMOA, whose generations are as large as its population."""

    name = "stock_smsemoa"
    summary = "pymoo's SMS-EMOA on the box"
    kind = PymooSMSEMOA


class OptunaNSGA2(Hosted):
    """Optuna's NSGA-II sampler with its defaults.

    Args:
        population: of its generations; Optuna's default is 50.
    """

    name = "optuna_nsga2"
    summary = "Optuna's NSGA-II on the box"

    def __init__(self, space: Space, *, objectives: int, seed: int, population: int) -> None:
        super().__init__(space, objectives=objectives, seed=seed)
        self.population = population

    def loop(self, given: Sequence[Given]) -> Loop:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            directions=["minimize"] * self.objectives,
            sampler=NSGAIISampler(seed=self.seed, population_size=self.population),
        )
        parameters = {p.name: distribution(p) for p in self._box.parameters}
        while True:
            trial = study.ask(fixed_distributions=parameters)
            values = yield dict(trial.params)
            state = TrialState.FAIL if values is None else TrialState.COMPLETE
            study.tell(trial, values, state=state)
