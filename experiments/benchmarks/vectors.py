"""Real vectors as a space, and a problem of them that the search loop takes for one of recipes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pymoo.core.problem import Problem as PymooProblem
from pymoo.indicators.hv import HV
from pymoo.operators.crossover.sbx import cross_sbx
from pymoo.operators.mutation.pm import mut_pm
from pymoo.problems import get_problem

from autosearch.algorithms.base import Rng
from autosearch.algorithms.evolution import Evolution
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.algorithms.nsga3 import NSGA3, directions, fitting_partitions
from autosearch.algorithms.smsemoa import SMSEMOA
from autosearch.engine.workers.base import Evaluator, Outcome, Task
from autosearch.experiment import Budget, Experiment
from autosearch.objectives.base import Estimate

__all__ = ["ALGORITHMS", "Case", "Forgetful", "Nothing", "VectorProblem"]

Array = NDArray[np.float64]

ALGORITHMS: dict[str, type[Evolution]] = {"nsga2": NSGA2, "nsga3": NSGA3, "smsemoa": SMSEMOA}
# As published and as pymoo has them; what a search of recipes adds is left out.
_CLASSICAL: dict[str, Any] = {"mutation": 0.9, "fresh": 0.0, "mate": "tournament"}
_TOURNAMENT = {"nsga2": 2, "nsga3": 1, "smsemoa": 2}
_CROSSOVER = {"nsga2": 0.9, "nsga3": 1.0, "smsemoa": 0.9}
_SBX_ETA = {"nsga2": 15.0, "nsga3": 30.0, "smsemoa": 15.0}
_PM_ETA = 20.0


@dataclass(frozen=True)
class Case:
    """One problem, one algorithm, one size; equal for both sides."""

    problem: str
    algorithm: str
    population: int
    generations: int
    generational: bool = False

    @property
    def target(self) -> PymooProblem:
        """DTLZ2 with three objectives, the ZDT family with two; pymoo's numbers of variables."""
        return get_problem(self.problem, **({"n_obj": 3} if self.problem == "dtlz2" else {}))

    @property
    def partitions(self) -> int:
        return fitting_partitions(self.target.n_obj, self.population)

    @property
    def size(self) -> int:
        """The population: for NSGA-III one for each direction that fits."""
        if self.algorithm == "nsga3":
            return directions(self.target.n_obj, self.partitions)
        return self.population

    def hypervolume(self, values: Array) -> float:
        """Hypervolume of [N, M] objective values up to 1.1 on each axis."""
        return float(HV(ref_point=np.full(self.target.n_obj, 1.1))(values))


class _Vectors:
    """A space whose genomes are real vectors inside a problem's bounds."""

    def __init__(self, case: Case) -> None:
        self.problem = case.target
        self._eta = np.array([[_SBX_ETA[case.algorithm]]])

    def sample(self, rng: Rng) -> dict[str, Any]:
        return self._genome(rng.uniform(self.problem.xl, self.problem.xu))

    def mutate(self, genome: Mapping[str, Any], rng: Rng) -> dict[str, Any]:
        share = np.array([min(0.5, 1 / self.problem.n_var)])
        vectors = np.array([genome["x"]])
        bounds = self.problem.xl, self.problem.xu
        eta = np.array([_PM_ETA])
        return self._genome(mut_pm(vectors, *bounds, eta, share, False, random_state=rng)[0])

    def crossover(self, a: Mapping[str, Any], b: Mapping[str, Any], rng: Rng) -> dict[str, Any]:
        """One of the two children."""
        parents = np.array([[a["x"]], [b["x"]]])
        bounds = self.problem.xl, self.problem.xu
        half = np.array([[0.5]])
        children = cross_sbx(parents, *bounds, self._eta, half, half.copy(), random_state=rng)
        return self._genome(children[int(rng.integers(2)), 0])

    def plan(self, genome: Mapping[str, Any]) -> SimpleNamespace:
        """What stands for a plan: the vector and its identity."""
        vector = np.array(genome["x"])
        identity = hashlib.sha256(vector.tobytes()).hexdigest()
        return SimpleNamespace(x=vector, identity=identity, cost=_nothing, gated=False)

    def _genome(self, vector: Array) -> dict[str, Any]:
        return {"x": vector.tolist()}


class _Measure:
    """Objectives read from the vector."""

    needs: frozenset[str] = frozenset()
    objectives: tuple[Any, ...] = ()

    def __init__(self, problem: PymooProblem) -> None:
        self._problem = problem
        self.names = [f"f{i}" for i in range(problem.n_obj)]

    def estimates(self, plan: Any) -> dict[str, Estimate]:
        values = self._problem.evaluate(plan.x, return_values_of=["F"]).tolist()
        return {name: Estimate(value) for name, value in zip(self.names, values, strict=True)}


def _nothing(samples: int) -> float:
    """Vectors cost no forwards."""
    return 0.0


class VectorProblem:
    """What the search loop asks of a problem."""

    def __init__(self, case: Case, seed: int) -> None:
        self.space = _Vectors(case)
        self.measure = _Measure(self.space.problem)
        self.baselines: list[Any] = []
        self.warm_start: list[Any] = []
        self.rungs = (0,)
        self.seed_block = 1
        self.experiment = Experiment(
            model={"name": case.problem},
            space={"vectors": {}},
            objectives=self.measure.names,
            budget=Budget(candidates=case.size * case.generations),
            seed=seed,
        )
        self._case = case

    def make_algorithm(self) -> Evolution:
        name = self._case.algorithm
        settings = {
            **_CLASSICAL,
            "population": self._case.size,
            "tournament": _TOURNAMENT[name],
            "crossover": _CROSSOVER[name],
            "initial": self._case.size,
            "generational": self._case.generational,
        }
        if name == "nsga2":
            settings["favour_ends"] = True
        if name == "nsga3":
            settings["partitions"] = self._case.partitions
        space = cast(Any, self.space)
        return ALGORITHMS[name](space, objectives=len(self.measure.names), **settings)

    def blocks(self, samples: int) -> tuple[int, ...]:
        return ()

    def permits(self, genome: Mapping[str, Any]) -> bool:
        return True

    def violation(self, plan: Any) -> None:
        return None

    def judge(
        self, plan: Any, outcome: Outcome, *, samples: int, teacher: object = None
    ) -> tuple[str, None, dict[str, Estimate]]:
        return "ok", None, self.measure.estimates(plan)

    def violations(self, values: Mapping[str, float]) -> tuple[float, ...]:
        return ()

    def signed(self, values: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(values.values())


class Nothing(Evaluator):
    """The vector is all that there is to measure."""

    def evaluate(self, task: Task) -> Outcome:
        return Outcome(task.id)


class Forgetful:
    """A journal that writes nowhere."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def append(self, record: Mapping[str, Any], *, sync: bool = False) -> None:
        return
