"""The evolution that was released with USF: one ranking for each number of evaluations."""

from collections.abc import Sequence
from dataclasses import dataclass

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.generations import Best
from autosearch.spaces.base import Genome

__all__ = ["USF"]

# How many pairs of parents are drawn for one of equal length.
_PAIRS = 6
# How many random genomes are drawn for one in the wanted bucket.
_SAMPLES = 16
# Fewer members than this, and a bucket is filled with random genomes.
_FEWEST = 2


@dataclass(kw_only=True, eq=False)
class USF(Algorithm):
    """The search released with the Unified Sampling Framework (ICLR 2024), steady-state.

    Each proposal picks a bucket, a number of network evaluations, at random; one of the bucket's
    best, or a crossover of two of them, is mutated. Inserting and deleting steps is part of the
    mutation and moves a child to another bucket. Selection reads the first objective; others are
    recorded and do not count, as the buckets are the trade-off.

    Deviates from the released code: operators and their odds are the space's (there steps are
    inserted and deleted with probability 0.2 each); buckets are the counts that the space's steps
    reach and those told; a bucket of fewer than two asks for random genomes (there the search is
    given a first population); parents of different lengths, which come up when none of 6 pairs is
    equal, are left to the space's crossover (there one of them is copied). The paper's search
    with a predictor is not built; its figures are not claimed for this one.

    Args:
        rank_bar: how many of a bucket's best may be parents; 15, or 30 for ImageNet.
        crossover: share of proposals that recombine two parents before they are mutated.
    """

    name = "usf"
    summary = "USF's evolution: the best of each evaluation count, first objective"

    rank_bar: int = 15
    crossover: float = 0.3

    def __post_init__(self) -> None:
        self._require_least(rank_bar=_FEWEST)
        self._require_shares("crossover")
        ranges = [family.steps for family in self.space.families if family.steps is not None]
        self._buckets: dict[int, Best] = {
            count: Best(self.rank_bar) for low, high in ranges for count in range(low, high + 1)
        }

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        if not self._buckets:
            return self.space.sample(rng)
        count = int(rng.choice(sorted(self._buckets)))
        bucket = self._buckets[count]
        if len(bucket.members) < _FEWEST:
            return self._random(count, rng)
        return self.space.mutate(self._breed(bucket, rng), rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.values is not None and result.genome is not None:
                count = self.space.plan(result.genome).nfe
                self._buckets.setdefault(count, Best(self.rank_bar)).add(result)

    def _random(self, count: int, rng: Rng) -> Genome:
        """A random genome of a bucket, if one is found in a few draws."""
        for _ in range(_SAMPLES):
            genome = self.space.sample(rng)
            if self.space.plan(genome).nfe == count:
                break
        return genome

    def _breed(self, bucket: Best, rng: Rng) -> Genome:
        """A copy of one member of a bucket, or a crossover of two."""
        if rng.random() >= self.crossover:
            return bucket.one(rng)
        for _ in range(_PAIRS):
            a, b = bucket.two(rng)
            if len(a["steps"]) == len(b["steps"]):
                break
        return self.space.crossover(a, b, rng)
