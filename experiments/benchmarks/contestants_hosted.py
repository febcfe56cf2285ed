"""Other libraries' multi-objective searches, each in its own ask-and-tell loop.

They run as they ship, on a space's box or on its genomes: nothing of this project's selection,
starts or racing helps them. What they propose twice (two points of a box can be one plan) is
answered from memory and costs nothing.
"""

from abc import abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import NSGAIISampler
from optuna.trial import TrialState
from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2
from pymoo.algorithms.moo.sms import SMSEMOA as PymooSMSEMOA
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import ElementwiseDuplicateElimination
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.sampling import Sampling
from pymoo.core.termination import NoTermination
from pymoo.operators.sampling.rnd import FloatRandomSampling
from pymoo.problems.static import StaticProblem

from autosearch.algorithms.base import Algorithm, BoxPoint, Proposal, Result, Rng
from autosearch.algorithms.optuna_box import distribution
from autosearch.algorithms.unit_box import UnitBox
from autosearch.experiments.benchmarks.contestants_boxed import boxed
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["Boxed", "GenomeNSGA2", "Hosted", "OptunaNSGA2", "StockNSGA2", "StockSMSEMOA"]

Objects = NDArray[np.object_]
Values = tuple[float, ...] | None
# Yields a point of the box, or a genome, is sent what it came to, and never ends of itself.
Loop = Generator[Any, Values, None]

# How many points that are known already may follow one another.
_TRIES = 10_000


@dataclass(frozen=True)
class Given:
    """A baseline as the loop has it, on the box or near it, with the baseline's own values."""

    point: Any
    values: tuple[float, ...]


def started(
    problem: PymooProblem,
    points: NDArray[Any],
    given: Sequence[Given],
    *,
    sampling: Sampling,
    population: int,
    seed: int,
) -> object:
    """What pymoo starts from: baselines with their values, filled up with random points."""
    if not given:
        return sampling
    known = Population.new(X=points)
    values = np.array([one.values for one in given])
    Evaluator().eval(StaticProblem(problem, F=values), known)
    missing = max(population - len(known), 0)
    if not missing:
        return known
    random = sampling(problem, missing, random_state=np.random.default_rng(seed))
    return Population.merge(known, random)


def pymoo_loop(
    algorithm: Any, problem: PymooProblem, *, seed: int, point: Callable[[NDArray[Any]], Any]
) -> Loop:
    """Ask pymoo, yield its individuals one by one, and tell it a generation at a time.

    Args:
        algorithm: of pymoo, not set up yet.
        problem: what it minimises.
        seed: of the algorithm.
        point: an individual's variables as what is yielded.
    """
    algorithm.setup(problem, seed=seed, termination=NoTermination())
    worst = np.zeros(problem.n_obj)
    while True:
        infills = algorithm.ask()
        for individual in infills:
            if len(individual.evaluated):
                continue
            values = yield point(individual.X)
            # Infeasible: no better than the worst that was seen.
            worst = np.maximum(worst, values or worst)
            one = Population.create(individual)
            Evaluator().eval(StaticProblem(problem, F=np.array([values or worst])), one)
        algorithm.tell(infills=infills)


def _column(genomes: Sequence[Genome]) -> Objects:
    """[N, 1] of dictionaries."""
    column = np.empty((len(genomes), 1), dtype=object)
    for row, genome in zip(column, genomes, strict=True):
        row[0] = genome
    return column


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
        self._wants_given = given
        self._given: list[Given] = []
        self._known: dict[str, Values] = {}
        self._loop: Loop | None = None
        self._next: Proposal | None = None

    @abstractmethod
    def loop(self, given: Sequence[Given]) -> Loop:
        """The library's search."""

    @abstractmethod
    def proposal(self, point: Any) -> Proposal:
        """What the loop yields, as a proposal."""

    @abstractmethod
    def point(self, genome: Genome) -> Any:
        """The same the other way."""

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
                    self._given.append(Given(self.point(result.genome), result.values))
                continue
            if self._next is None:
                self.ask(np.random.default_rng(0), [])
            assert self._loop is not None
            self._known[self._identity(result.genome)] = result.values
            self._advance(self._loop.send(result.values))

    def _advance(self, point: Any) -> None:
        """To the next point whose plan is not known yet."""
        assert self._loop is not None
        for _ in range(_TRIES):
            proposal = self.proposal(point)
            identity = self.space.plan(proposal.genome).identity
            if identity not in self._known:
                self._next = proposal
                return
            point = self._loop.send(self._known[identity])
        self._next = None


class Boxed(Hosted):
    """A loop on the space's box."""

    def __init__(self, space: Space, *, objectives: int, seed: int, given: bool = False) -> None:
        super().__init__(space, objectives=objectives, seed=seed, given=given)
        self._box = UnitBox(space.box())

    def proposal(self, point: BoxPoint) -> Proposal:
        return Proposal(self.space.from_box(point), point)

    def point(self, genome: Genome) -> BoxPoint:
        return boxed(self.space, genome)


class StockNSGA2(Boxed):
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
        units = np.array([self._box.unit(one.point) for one in given])
        start = started(
            problem,
            units,
            given,
            sampling=FloatRandomSampling(),
            population=self.population,
            seed=self.seed,
        )
        algorithm = self.kind(pop_size=self.population, sampling=start)
        return pymoo_loop(algorithm, problem, seed=self.seed, point=self._box.point)


class StockSMSEMOA(StockNSGA2):
    """pymoo's SMS-EMOA, whose generations are as large as its population."""

    name = "stock_smsemoa"
    summary = "pymoo's SMS-EMOA on the box"
    kind = PymooSMSEMOA


class GenomeNSGA2(Hosted):
    """pymoo's NSGA-II on genomes: the space's crossover and mutation, everything else as it ships.

    Its selection, survival and generations know nothing of what a candidate costs to measure.

    Args:
        population: of its generations.
        crossover: share of matings that recombine; all children are mutated.
    """

    name = "genome_nsga2"
    summary = "pymoo's NSGA-II on genomes"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        seed: int,
        population: int,
        crossover: float = 0.9,
        given: bool = False,
    ) -> None:
        super().__init__(space, objectives=objectives, seed=seed, given=given)
        self.population = population
        self.crossover = crossover

    def proposal(self, point: Genome) -> Proposal:
        return Proposal(point)

    def point(self, genome: Genome) -> Genome:
        return genome

    def loop(self, given: Sequence[Given]) -> Loop:
        problem = PymooProblem(n_var=1, n_obj=self.objectives)
        genomes = _column([one.point for one in given])
        start = started(
            problem,
            genomes,
            given,
            sampling=_Sampling(self.space),
            population=self.population,
            seed=self.seed,
        )
        algorithm = PymooNSGA2(
            pop_size=self.population,
            sampling=start,
            crossover=_Crossover(self.space, self.crossover),
            mutation=_Mutation(self.space),
            eliminate_duplicates=_Duplicates(self.space),
        )
        return pymoo_loop(algorithm, problem, seed=self.seed, point=lambda x: x[0])


class _Sampling(Sampling):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Any, n_samples: int, *, random_state: Rng, **_: Any) -> Objects:
        return _column([self._space.sample(random_state) for _ in range(n_samples)])


class _Crossover(Crossover):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, space: Space, share: float) -> None:
        super().__init__(2, 2, prob=share)
        self._space = space

    def _do(self, problem: Any, x: Objects, *, random_state: Rng, **_: Any) -> Objects:
        children = np.empty_like(x)
        for i in range(x.shape[1]):
            a, b = x[0, i, 0], x[1, i, 0]
            children[0, i, 0] = self._space.crossover(a, b, random_state)
            children[1, i, 0] = self._space.crossover(b, a, random_state)
        return children


class _Mutation(Mutation):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, space: Space) -> None:
        super().__init__(prob=1.0)
        self._space = space

    def _do(self, problem: Any, x: Objects, *, random_state: Rng, **_: Any) -> Objects:
        return _column([self._space.mutate(row[0], random_state) for row in x])


class _Duplicates(ElementwiseDuplicateElimination):  # type: ignore[misc]  # pymoo has no types
    def __init__(self, space: Space) -> None:
        super().__init__()
        self._space = space

    def is_equal(self, a: Any, b: Any) -> bool:
        plans = (self._space.plan(one.X[0]).identity for one in (a, b))
        return len(set(plans)) == 1


class OptunaNSGA2(Boxed):
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
