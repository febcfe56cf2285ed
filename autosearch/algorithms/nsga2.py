"""Steady-state NSGA-II: pymoo's survival, this project's operators, no generation barrier."""

from collections.abc import Sequence

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


_MATES = 4


class NSGA2(Algorithm):
    """NSGA-II (Deb et al. 2002) told one result at a time.

    Each tell adds a result to the population and lets rank and crowding drop the worst; each ask
    picks parents by tournament. Deviates from the paper in having no generations, so that
    no worker waits for one to end.

    Args:
        population: how many results survive.
        crossover: share of proposals that recombine two parents before they are mutated.
        fresh: share of proposals that are random.
        tournament: of how many survivors, drawn with replacement, the best becomes a parent.
    """

    name = "nsga2"
    summary = "steady-state NSGA-II with operators that know schedules"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        population: int = 24,
        crossover: float = 0.7,
        fresh: float = 0.15,
        tournament: int = 3,
    ) -> None:
        super().__init__(space, objectives=objectives)
        if population < 4:
            raise UserError(f"algorithm.population: {population} is too small; use at least 4")
        for key, share in (("crossover", crossover), ("fresh", fresh)):
            if not 0 <= share <= 1:
                raise UserError(f"algorithm.{key}: {share:g} is no share; use 0 to 1")
        self.population = population
        self.crossover = crossover
        if tournament < 1:
            raise UserError(f"algorithm.tournament: {tournament} is too small; use at least 1")
        self.fresh = fresh
        self.tournament = tournament
        self._survival = RankAndCrowding()
        self._problem = Problem(n_var=1, n_obj=objectives)
        self._alive: Population = Population()

    def ask(self, rng: Rng, pending: Sequence[Genome]) -> Genome | None:
        if len(self._alive) < 2 or rng.random() < self.fresh:
            return self.space.sample(rng)
        parent = self._parent(rng)
        genome: Genome = parent.get("genome")
        if rng.random() < self.crossover:
            child = self.space.crossover(genome, self._mate(parent, rng).get("genome"), rng)
            if rng.random() < 0.5:
                return child
            genome = child
        return self.space.mutate(genome, rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Genome]) -> None:
        for result in results:
            if result.values is None or result.genome is None:
                continue
            newcomer = Individual(X=np.array([result.id]), F=np.array(result.values))
            newcomer.set("genome", result.genome)
            newcomer.set("cost", result.cost)
            merged = Population.merge(self._alive, Population.create(newcomer))
            # Survival also sets rank and crowding, which the tournament reads.
            self._alive = self._survival.do(
                self._problem,
                merged,
                n_survive=min(self.population, len(merged)),
                random_state=np.random.default_rng(result.id),
            )

    def _parent(self, rng: Rng) -> Individual:
        """The best of a few, drawn so that each cost gets an equal share of the budget."""
        odds = 1.0 / self._alive.get("cost").astype(float)
        drawn = rng.choice(len(odds), size=self.tournament, p=odds / odds.sum())
        return min((self._alive[i] for i in drawn.tolist()), key=_order)

    def _mate(self, parent: Individual, rng: Rng) -> Individual:
        """The nearest of a few in objective space: recipes of like cost recombine best."""
        others = [i for i in self._alive if i is not parent]
        chosen = rng.choice(len(others), size=min(_MATES, len(others)), replace=False)
        values = self._alive.get("F")
        span = np.maximum(values.max(axis=0) - values.min(axis=0), 1e-12)
        return min(
            (others[i] for i in chosen.tolist()),
            key=lambda other: float((((other.F - parent.F) / span) ** 2).sum()),
        )


def _order(individual: Individual) -> tuple[int, float, int]:
    """Lower rank first, then the less crowded, then the older.

    The ends of a front are infinitely uncrowded, which keeps them alive; as parents they get no
    such privilege, or most children would go to the two ends.
    """
    crowding = individual.get("crowding")
    spread = crowding if np.isfinite(crowding) else 0.0
    return individual.get("rank"), -spread, int(individual.X[0])
