"""Real vectors as a space, and a problem of them that an engine takes for one of recipes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
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
from autosearch.engine.measure import Measure
from autosearch.engine.problem import Problem, model_spec
from autosearch.experiment import Budget, Experiment
from autosearch.objectives.base import Objective

__all__ = ["ALGORITHMS", "Case"]

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

    def stated(self, seed: int) -> Problem:
        """The same as a search has it; the model stands for one, and nobody samples it."""
        names = [f"f{i}" for i in range(self.target.n_obj)]
        experiment = Experiment(
            model={"name": "mixture", "dimension": 2, "components": 2},
            space={"vectors": {}},
            objectives=names,
            baselines=[],
            budget=Budget(candidates=self.size * self.generations),
            seed=seed,
        )
        spec = model_spec(experiment.model)
        model = spec.load()
        measure = Measure(model, [_told(name) for name in names])
        return Problem(experiment, spec, model, cast(Any, _Vectors(self)), measure, measure)

    def make_algorithm(self, problem: Problem) -> Evolution:
        """Ours, with the settings of pymoo's own."""
        settings = {
            **_CLASSICAL,
            "population": self.size,
            "tournament": _TOURNAMENT[self.algorithm],
            "crossover": _CROSSOVER[self.algorithm],
            "initial": self.size,
            "generational": self.generational,
        }
        if self.algorithm == "nsga2":
            settings["favour_ends"] = True
        if self.algorithm == "nsga3":
            settings["partitions"] = self.partitions
        kind = ALGORITHMS[self.algorithm]
        return kind(problem.space, objectives=len(problem.objectives), **settings)

    def values(self, genome: Mapping[str, Any]) -> dict[str, float]:
        """What is to be minimised, by the names of the problem's objectives."""
        found = self.target.evaluate(np.array(genome["x"]), return_values_of=["F"])
        return {f"f{i}": value for i, value in enumerate(found.tolist())}


def _told(name: str) -> Objective:
    """An objective whose values are told, not estimated from rows."""
    what = {"name": name, "summary": "of a vector", "needs": frozenset({"final"})}
    return cast(Objective, type("Told", (Objective,), what)())


@dataclass(frozen=True)
class _Plan:
    """What stands for a plan: who it is. Vectors cost no forwards."""

    identity: str

    def cost(self, samples: int) -> float:
        return 0.0


class _Vectors:
    """A space whose genomes are real vectors inside a problem's bounds."""

    families = ()

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

    def plan(self, genome: Mapping[str, Any]) -> _Plan:
        return _Plan(hashlib.sha256(np.array(genome["x"]).tobytes()).hexdigest())

    def _genome(self, vector: Array) -> dict[str, Any]:
        return {"x": vector.tolist()}
