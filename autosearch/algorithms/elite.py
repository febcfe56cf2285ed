"""The best few of what was told, by the first objective."""

import bisect
from dataclasses import dataclass

from autosearch.algorithms.base import Result
from autosearch.spaces.base import Genome

__all__ = ["Best", "Ranked"]


@dataclass(frozen=True)
class Ranked:
    """A feasible result by its first value."""

    value: float
    id: int
    genome: Genome


class Best:
    """At most ``limit`` feasible results with the smallest first values, best first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.members: list[Ranked] = []

    def add(self, result: Result) -> None:
        """Take in a result; infeasible ones and those without a genome are left out."""
        if result.values is None or result.genome is None:
            return
        newcomer = Ranked(result.values[0], result.id, result.genome)
        bisect.insort(self.members, newcomer, key=lambda member: (member.value, member.id))
        del self.members[self._limit :]
