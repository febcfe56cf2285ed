"""What evolution keeps of the tells: a barrier between generations, and the best results."""

import bisect
from collections.abc import Sequence

from autosearch._typing import Rng
from autosearch.algorithms.base import Result
from autosearch.spaces.base import Genome

__all__ = ["Best", "Generations"]


class Generations:
    """Counts candidates, baselines included, into generations.

    A generation is over when as many results as it has places were told since it began and nothing
    is pending. Until then no place is left: :meth:`place` gives None, the engine finishes what is
    in flight, tells it and asks again.

    Args:
        sizes: candidates in each generation; the last holds for all that follow.

    Attributes:
        number: generations that are over.
    """

    def __init__(self, *sizes: int) -> None:
        self._sizes = sizes
        self._told = 0
        self.number = 0

    def place(self, pending: Sequence[object]) -> int | None:
        """Which of its generation the next proposal is, from 0; None to wait for the others."""
        place = self._told + len(pending)
        if place < self._size:
            return place
        # With nothing pending there is nothing to wait for: a result never came.
        return None if pending else self._size - 1

    def tell(self, pending: Sequence[object]) -> bool:
        """Count one result; whether it was the last of its generation."""
        self._told += 1
        over = self._told >= self._size and not pending
        if over:
            self._told = 0
            self.number += 1
        return over

    @property
    def _size(self) -> int:
        return self._sizes[min(self.number, len(self._sizes) - 1)]


class Best:
    """At most ``limit`` feasible results with the smallest first values, best first.

    Attributes:
        members: first value, number and genome of each.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.members: list[tuple[float, int, Genome]] = []

    def add(self, result: Result) -> None:
        """Take in a result; infeasible ones and those without a genome are left out."""
        if result.values is not None and result.genome is not None:
            newcomer = (result.values[0], result.id, result.genome)
            bisect.insort(self.members, newcomer, key=lambda member: member[:2])
            del self.members[self._limit :]

    def one(self, rng: Rng) -> Genome:
        """A random member's genome."""
        return self.members[int(rng.integers(len(self.members)))][2]

    def two(self, rng: Rng) -> tuple[Genome, Genome]:
        """The genomes of two different members."""
        one, two = rng.choice(len(self.members), size=2, replace=False).tolist()
        return self.members[one][2], self.members[two][2]
