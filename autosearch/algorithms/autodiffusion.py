"""AutoDiffusion: evolution of a set of training times, in generations."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.generations import Best, Generations
from autosearch.algorithms.step_times import StepTimes
from autosearch.errors import UserError
from autosearch.spaces.base import Genome

__all__ = ["AutoDiffusion"]


@dataclass(kw_only=True, eq=False)
class AutoDiffusion(Algorithm):
    """The search of AutoDiffusion (ICCV 2023), with its published constants as defaults.

    Selection reads the first objective; others are recorded and do not count.

    A generation is mutants and crossovers of the best results so far, filled up with random
    genomes; the next one begins when all of it was told. The first is half random and half mutants
    of what the study's baselines gave (without baselines, of an evenly spaced schedule). The first
    ``timesteps_only_generations`` vary the times alone; from then on the space's other families
    mutate too, each by its odds, in the place of the published second stage over layers. A space
    with one number of steps is the paper's.

    Deviates from the released code: a crossover that repeats a time is repaired by the space
    (there it stays as it is); parents of different lengths are left to the space's crossover; each
    proposal is given up after ``tries`` attempts at a new plan and is random then (there each
    operator after 10 times its number of children); all candidates see the same noise, unless the
    experiment says ``noise: fresh``.

    Args:
        population: candidates in a generation; one less in the first, beside the baselines.
        parents: how many of the best are mutated and recombined.
        mutants: how many proposals of each generation after the first are mutants.
        crossovers: how many are crossovers.
        mutation: probability that a mutation replaces a time; 0.25 for the pixel models.
        initial_mutation: the same for the first generation.
        generations: how many there are; then the search ends.
        tries: attempts at a new plan before a random one.
        cumulative_parents: the best of all so far, or of the last generation alone.
        timesteps_only_generations: how many generations leave all but the times alone.
    """

    name = "autodiffusion"
    summary = "AutoDiffusion's evolution of timesteps, for one objective"

    population: int = 50
    parents: int = 10
    mutants: int = 25
    crossovers: int = 10
    mutation: float = 0.1
    initial_mutation: float = 0.1
    generations: int = 10
    tries: int = 10
    cumulative_parents: bool = True
    timesteps_only_generations: int = 5

    def __post_init__(self) -> None:
        self._require_least(population=2, mutants=0, crossovers=0, parents=2)
        self._require_least(generations=1, tries=1, timesteps_only_generations=0)
        self._require_shares("mutation", "initial_mutation")
        bred = self.mutants + self.crossovers
        if bred > self.population:
            raise UserError(
                f"algorithm.population: {self.population} has no room for {self.mutants} mutants "
                f"and {self.crossovers} crossovers; use at least {bred}"
            )
        self._view = StepTimes(self.space, name=self.name)
        # Generation 0 is what the baselines gave, or one even schedule.
        self._clock = Generations(1, self.population - 1, self.population)
        self._best = Best(self.parents)
        # Those of the last generation's end: what is told meanwhile must not show.
        self._parents = Best(self.parents)
        self._seen: set[str] = set()

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        place = self._clock.place(pending)
        if place is None or self._clock.number > self.generations:
            return None
        known = self._seen.union(self._identity(proposal.genome) for proposal in pending)
        for _ in range(self.tries):
            genome = self._propose(place, rng)
            if self._identity(genome) not in known:
                return genome
        return self._random(rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is not None:
                self._seen.add(self._identity(result.genome))
            self._best.add(result)
            if self._clock.tell(pending):
                if self._best.members:
                    self._parents.members = list(self._best.members)
                if not self.cumulative_parents:
                    self._best = Best(self.parents)

    @property
    def _joint(self) -> bool:
        """Whether everything may change, or the times alone."""
        return self._clock.number > self.timesteps_only_generations

    def _propose(self, place: int, rng: Rng) -> Genome:
        if self._clock.number == 0:
            return self._view.uniform(rng)
        if self._clock.number == 1:
            half = self.population // 2
            return self._random(rng) if place < half else self._mutant(self.initial_mutation, rng)
        if place < self.mutants:
            return self._mutant(self.mutation, rng)
        if place < self.mutants + self.crossovers and len(self._parents.members) > 1:
            return self._view.mix(*self._parents.two(rng), rng, others=self._joint)
        return self._random(rng)

    def _random(self, rng: Rng) -> Genome:
        like = None if self._joint else self._parent(rng)
        return self._view.random(rng, like=like)

    def _mutant(self, share: float, rng: Rng) -> Genome:
        parent = self._parent(rng)
        if parent is None:
            return self._random(rng)
        child = self._view.mutate(parent, share, rng)
        return self._view.mutate_others(child, rng) if self._joint else child

    def _parent(self, rng: Rng) -> Genome | None:
        return self._parents.one(rng) if self._parents.members else None
