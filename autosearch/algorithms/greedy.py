"""Greedy forward selection of a set, a few elements a round."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.genome_queue import GenomeQueue
from autosearch.errors import UserError, unknown_name
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["ElementFamily", "ElementSets", "Greedy", "element_sets"]


@runtime_checkable
class ElementSets(Protocol):
    """A space of subsets of a fixed list, such as attention heads or layers."""

    def elements(self) -> Sequence[Hashable]:
        """Everything that may be chosen, in a fixed order; ``str`` tells them apart."""

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        """The genome in which exactly these elements are chosen."""


@runtime_checkable
class ElementFamily(Protocol):
    """A family of a space whose choice is a subset of a fixed list."""

    def elements(self) -> Sequence[Hashable]:
        """Everything that may be chosen, in a fixed order; ``str`` tells them apart."""

    def choose(self, genome: Genome, chosen: frozenset[Hashable]) -> None:
        """Make a genome choose exactly these elements."""


def element_sets(space: Space) -> ElementSets | None:
    """A space as sets: itself, or by the first of its families that is one; None without."""
    if isinstance(space, ElementSets):
        return space
    for family in getattr(space, "families", ()):
        if isinstance(family, ElementFamily):
            return _FamilySets(space, family)
    return None


@dataclass(frozen=True)
class _FamilySets:
    """The sets of one family; all else is as in the space's origin."""

    space: Space
    family: ElementFamily

    def elements(self) -> Sequence[Hashable]:
        return self.family.elements()

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        genome = self.space.origin()
        self.family.choose(genome, chosen)
        return self.space.repair(genome)


@dataclass(kw_only=True, eq=False)
class Greedy(Algorithm):
    """Forward selection as HeadHunter does it over attention heads (published defaults).

    A round tries the set so far with each element that it lacks, on the same noise, waits for all
    of them and adds the ``top_k`` best by the first objective. The set itself is tried as well,
    before the first round and after each. Elements whose trial failed or is not permitted are not
    added in that round. Rounds are a function of results alone: random numbers are not used.

    Args:
        top_k: elements added in a round.
        iterations: rounds, at most; the search ends after them.
        start: elements of the first set, as :func:`str` writes them.

    Raises:
        UserError: for a space without elements, or an unknown one in ``start``.
    """

    name = "greedy"
    summary = "greedy forward selection over a space of sets"

    top_k: int = 3
    iterations: int = 5
    start: Sequence[str] = ()

    def __post_init__(self) -> None:
        sets = element_sets(self.space)
        if sets is None:
            raise UserError(
                "algorithm: greedy selects elements of a set, such as attention heads, and the "
                "space has none; use nsga2"
            )
        self._require_least(top_k=1, iterations=1)
        self._sets: ElementSets = sets
        self._elements = list(sets.elements())
        self._chosen = _find_elements(self._elements, self.start)
        self._round = 0
        # First value by identity of everything told: a baseline may be some round's trial.
        self._values: dict[str, float] = {}

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        return self._queue.next(pending)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is not None:
                identity = self._identity(result.genome)
                self._values[identity] = math.inf if result.values is None else result.values[0]
                self._queue.drop(self._values.keys())
                self._advance()

    @cached_property
    def _queue(self) -> GenomeQueue:
        """The set so far, then one trial for each element, unless the last round is over."""
        trials = [self._sets.with_elements(self._chosen)]
        if self._round < self.iterations:
            trials += [self._with(element) for element in self._missing]
        queue = GenomeQueue(trials, self._identity, self.permits)
        queue.drop(self._values.keys())
        return queue

    def _advance(self) -> None:
        """Go on to the next round, as often as everything in one is told already."""
        while not self._queue.left and self._round < self.iterations:
            keys = {element: self._identity(self._with(element)) for element in self._missing}
            values = {element: self._values.get(key, math.inf) for element, key in keys.items()}
            ranked = sorted((e for e in values if values[e] < math.inf), key=values.__getitem__)
            self._chosen |= frozenset(ranked[: self.top_k])
            # A round that adds nothing would only be repeated.
            self._round = self._round + 1 if ranked else self.iterations
            del self._queue

    @property
    def _missing(self) -> list[Hashable]:
        return [element for element in self._elements if element not in self._chosen]

    def _with(self, element: Hashable) -> Genome:
        return self._sets.with_elements(self._chosen | {element})


def _find_elements(elements: Sequence[Hashable], names: Sequence[str]) -> frozenset[Hashable]:
    known = {str(element): element for element in elements}
    for name in names:
        if name not in known:
            raise unknown_name("element", name, known, where="algorithm.start")
    return frozenset(known[name] for name in names)
