"""Steady-state NSGA-II: pymoo's survival, this project's operators, no generation barrier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from autosearch.algorithms.base import Algorithm, Result, Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["NSGA2"]


class NSGA2(Algorithm):
    """NSGA-II (Deb et al. 2002) told one result at a time.

    Each tell adds a result to the population and lets rank and crowding drop the worst; each ask
    picks parents by binary tournament. Deviates from the paper in having no generations, so that
    no worker waits for one to end.

    Args:
        population: how many results survive.
        crossover: share of proposals that recombine two parents before they are mutated.
        fresh: share of proposals that are random.
    """

    name = "nsga2"
    summary = "steady-state NSGA-II with operators that know schedules"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        population: int = 24,
        crossover: float = 0.4,
        fresh: float = 0.05,
    ) -> None:
        super().__init__(space, objectives=objectives)
        if population < 4:
            raise UserError(f"algorithm.population: {population} is too small; use at least 4")
        for key, share in (("crossover", crossover), ("fresh", fresh)):
            if not 0 <= share <= 1:
                raise UserError(f"algorithm.{key}: {share:g} is no share; use 0 to 1")
        self.population = population
        self.crossover = crossover
        self.fresh = fresh
        self._survival = RankAndCrowding()
        self._problem = Problem(n_var=1, n_obj=objectives)
        self._alive: Population = Population()

    def ask(self, rng: Rng, pending: Sequence[Genome]) -> Genome | None:
        if len(self._alive) < 2 or rng.random() < self.fresh:
            return self.space.sample(rng)
        child = self._parent(rng)
        if rng.random() < self.crossover:
            child = self.space.crossover(child, self._parent(rng), rng)
            if rng.random() < 0.5:
                return child
        return self.space.mutate(child, rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Genome]) -> None:
        for result in results:
            if result.values is None or result.genome is None:
                continue
            newcomer = Individual(X=np.array([result.id]), F=np.array(result.values))
            newcomer.set("genome", result.genome)
            merged = Population.merge(self._alive, Population.create(newcomer))
            # Survival also sets rank and crowding, which the tournament reads.
            self._alive = self._survival.do(
                self._problem,
                merged,
                n_survive=min(self.population, len(merged)),
                random_state=np.random.default_rng(result.id),
            )

    def _parent(self, rng: Rng) -> Genome:
        a, b = rng.integers(len(self._alive), size=2).tolist()
        winner = min(self._alive[a], self._alive[b], key=_order)
        genome: Genome = winner.get("genome")
        return genome


def _order(individual: Any) -> tuple[int, float, int]:
    """Lower rank first, then the less crowded, then the older."""
    return individual.get("rank"), -individual.get("crowding"), int(individual.X[0])
