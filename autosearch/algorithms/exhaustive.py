"""Every recipe of a small space."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.genome_queue import GenomeQueue
from autosearch.algorithms.unit_box import levels
from autosearch.errors import UserError
from autosearch.spaces.base import Genome

__all__ = ["Enumerable", "Exhaustive"]


@runtime_checkable
class Enumerable(Protocol):
    """A space that lists its genomes."""

    def enumerate(self) -> Iterable[Genome]:
        """All of them, in a fixed order."""


@dataclass(kw_only=True, eq=False)
class Exhaustive(Algorithm):
    """Tries everything once, in a fixed order, and then ends.

    Everything is what a space enumerates, or the product of its box: every choice and whole number,
    and a grid of evenly spaced values for each float. Points that are the same plan count once,
    and those that a declared constraint forbids not at all.

    Args:
        grid: values of each float, both ends included.
        limit: the most points that a product may have.

    Raises:
        UserError: for more points than the limit, or a space without a box.
    """

    name = "exhaustive"
    summary = "every point of a small space, once"

    grid: int = 3
    limit: int = 10_000

    def __post_init__(self) -> None:
        self._require_least(grid=2, limit=1)
        if not isinstance(self.space, Enumerable):
            self._axes = {p.name: levels(p, self.grid) for p in self.space.box()}
            self._check(math.prod(len(values) for values in self._axes.values()))

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        return self._queue.next(pending)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        genomes = [result.genome for result in results if result.genome is not None]
        self._queue.drop({self._identity(genome) for genome in genomes})

    @cached_property
    def _queue(self) -> GenomeQueue:
        return GenomeQueue(self._genomes(), self._identity, self.permits)

    def _genomes(self) -> Iterator[Genome]:
        if isinstance(self.space, Enumerable):
            for count, genome in enumerate(self.space.enumerate(), start=1):
                self._check(count)
                yield genome
            return
        for values in itertools.product(*self._axes.values()):
            yield self.space.from_box(dict(zip(self._axes, values, strict=True)))

    def _check(self, count: int) -> None:
        if count > self.limit:
            raise UserError(
                f"algorithm.limit: the space has {count:,} points or more, above {self.limit:,}; "
                "use a narrower space, a smaller grid, a higher limit, or random"
            )
