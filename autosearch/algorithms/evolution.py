"""What multi-objective evolution has in common: parents, children, and survival from pymoo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.generations import Generations
from autosearch.algorithms.local_models import draw_near
from autosearch.spaces.base import Genome

__all__ = ["Evolution", "Mate"]

# How the second parent is found: the nearest of a few in objective space, or like the first.
Mate = Literal["near", "tournament"]

_MATES = 4
# How often a second parent or a child may turn out to be a mere copy before it is given up.
_TRIES = 64
# Of local changes, the share that draw a choice anew; and by how much the logarithms of the gaps
# between times change in the others.
_VARIED = 0.3
_RADII = (0.03, 0.1)
# Parents of one child.
_FEWEST = 2


@dataclass(kw_only=True, eq=False)
class Evolution(Algorithm):
    """Evolution told one result at a time; what differs is who survives, and who is preferred.

    Each tell adds a result to the population and lets survival drop the worst; each ask picks
    parents by tournament. Published algorithms work in generations; here no worker waits for one
    to end, unless ``generational`` asks for that: parents then come from the last generation's
    survivors, and survival decides once, among them and all of their children.

    A subclass gives ``_survival``, pymoo's operator, and may refine :meth:`_order`.

    Args:
        population: how many results survive; the size of a generation.
        crossover: share of proposals that recombine two parents before they are mutated.
        fresh: share of proposals that are random.
        tournament: of how many survivors, drawn with replacement, the best becomes a parent.
        mutation: share of recombined proposals that are mutated as well.
        mate: the second parent is the nearest of a few in objective space, or drawn like the
            first.
        initial: so many proposals are random, and told, before a survivor becomes a parent.
            Baselines do not count: children of theirs alone explore less than random search.
        generational: wait for the end of each generation.
        local: share of proposals that keep a survivor's number of steps and its choices, or all but
            one of them, and move its times together and little: what a fit has found is refined,
            where the other operators undo it.
    """

    population: int = 24
    crossover: float = 0.7
    fresh: float = 0.15
    tournament: int = 2
    mutation: float = 0.5
    mate: Mate = "near"
    initial: int = 16
    generational: bool = False
    local: float = 0.0
    _survival: Any = field(init=False)

    def __post_init__(self) -> None:
        self._require_least(population=4, tournament=1, initial=0)
        self._require_shares("crossover", "fresh", "mutation", "local")
        self._generations = Generations(self.population) if self.generational else None
        self._problem = Problem(n_var=1, n_obj=self.objectives)
        self._alive: Population = Population()
        # The population's values [N, M], and the odds [N] with which each is drawn as a parent.
        self.survivors: Array = np.empty((0, self.objectives))
        self._odds: Array = np.empty(0)
        self._brood: list[Individual] = []
        self._explored = 0

    def _order(self, individual: Individual) -> tuple[float, ...]:
        """The smallest wins a tournament, the first drawn of equals: the lower rank."""
        return (individual.get("rank"),)

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        if self._generations is not None and self._generations.place(pending) is None:
            return None
        too_few = self._explored < self.initial or len(self._alive) < _FEWEST
        if too_few or rng.random() < self.fresh:
            return self.space.sample(rng)
        if self.local and rng.random() < self.local:
            return self._near(rng)
        for _ in range(_TRIES):
            child = self._child(rng)
            if child is not None:
                return child
        return self.space.sample(rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            self._explored += not result.baseline
            if result.values is not None and result.genome is not None:
                newcomer = Individual(X=np.array([result.id]), F=np.array(result.values))
                newcomer.set("genome", result.genome)
                newcomer.set("cost", result.cost)
                self._brood.append(newcomer)
            if self._generations is None or self._generations.tell(pending):
                self._survive(result.id)

    def _survive(self, last_id: int) -> None:
        """Let the newcomers in and the worst out; the last result's id settles equals."""
        if not self._brood:
            return
        merged = Population.merge(self._alive, Population.create(*self._brood))
        # Survival also sets what the tournament reads, such as rank and crowding.
        self._alive = self._survival.do(
            self._problem,
            merged,
            n_survive=min(self.population, len(merged)),
            random_state=np.random.default_rng(last_id),
            **self._survival_settings(),
        )
        self._brood = []
        self.survivors = self._alive.get("F")
        odds = 1.0 / self._alive.get("cost").astype(float)
        self._odds = odds / odds.sum()

    def _survival_settings(self) -> Mapping[str, Any]:
        """Further arguments of the survival, read from the population before the newcomers."""
        return {}

    def _child(self, rng: Rng) -> Genome | None:
        """A changed copy of one or two parents; None for one that neither operator touched."""
        parent = self._parent(rng)
        genome: Genome = parent.get("genome")
        crossed = rng.random() < self.crossover
        if crossed:
            genome = self.space.crossover(genome, self._mate(parent, rng).get("genome"), rng)
        if self._mutates(crossed, rng):
            return self.space.mutate(genome, rng)
        return genome if crossed else None

    def _near(self, rng: Rng) -> Genome:
        """A survivor whose times move together, or one of whose choices is drawn anew."""
        genome: Genome = self._parent(rng).get("genome")
        place = self.space.coordinates(genome)
        if not len(place) or rng.random() < _VARIED:
            return self.space.varied(genome, rng)
        return self.space.moved(genome, draw_near(place, float(rng.choice(_RADII)), rng)[0])

    def _mutates(self, crossed: bool, rng: Rng) -> bool:
        """Whether a child is mutated; a copy of one parent would be of no use otherwise."""
        return not crossed or rng.random() >= 1 - self.mutation

    def _parent(self, rng: Rng) -> Individual:
        """The best of a few, drawn so that each cost gets an equal share of the budget."""
        drawn = rng.choice(len(self._odds), size=self.tournament, p=self._odds)
        return min((self._alive[i] for i in drawn.tolist()), key=self._order)

    def _mate(self, parent: Individual, rng: Rng) -> Individual:
        """Another survivor for a parent."""
        if self.mate == "near":
            return self._nearest(parent, rng)
        for _ in range(_TRIES):
            other = self._parent(rng)
            if other is not parent:
                return other
        return self._nearest(parent, rng)

    def _nearest(self, parent: Individual, rng: Rng) -> Individual:
        """The nearest of a few in objective space: recipes of like cost recombine best."""
        others = [i for i in self._alive if i is not parent]
        chosen = rng.choice(len(others), size=min(_MATES, len(others)), replace=False)
        span = np.maximum(np.ptp(self.survivors, axis=0), 1e-12)
        return min(
            (others[i] for i in chosen.tolist()),
            key=lambda other: float((((other.F - parent.F) / span) ** 2).sum()),
        )
