"""Greedy forward selection of a set, a few elements a round."""

import math
from collections.abc import Hashable, Sequence
from functools import cached_property

from autosearch.algorithms.base import Algorithm, Proposal, Result, Rng
from autosearch.algorithms.checks import at_least
from autosearch.algorithms.element_sets import ElementSets, element_sets
from autosearch.algorithms.genome_queue import Agenda
from autosearch.errors import UserError, unknown_name
from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["Greedy"]


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

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        top_k: int = 3,
        iterations: int = 5,
        start: Sequence[str] = (),
    ) -> None:
        super().__init__(space, objectives=objectives)
        sets = element_sets(space)
        if sets is None:
            raise UserError(
                "algorithm: greedy selects elements of a set, such as attention heads, and the "
                "space has none; use nsga2"
            )
        self.top_k = at_least("top_k", top_k, 1)
        self.iterations = at_least("iterations", iterations, 1)
        self._sets: ElementSets = sets
        self._elements = list(sets.elements())
        self._chosen = _named(self._elements, start)
        self._round = 0
        # First value by identity of everything told: a baseline may be some round's trial.
        self._values: dict[str, float] = {}

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        return self._agenda.next(pending)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            if result.genome is not None:
                identity = self._agenda.identity(result.genome)
                self._values[identity] = math.inf if result.values is None else result.values[0]
                self._agenda.drop(self._values)
                self._advance()

    @cached_property
    def _agenda(self) -> Agenda:
        """The set so far, then one trial for each element, unless the last round is over."""
        trials = [self._sets.with_elements(self._chosen)]
        if self._round < self.iterations:
            trials += [self._with(element) for element in self._missing]
        agenda = Agenda(self.space, trials, self.permits)
        agenda.drop(self._values)
        return agenda

    def _advance(self) -> None:
        """Go on to the next round, as often as everything in one is told already."""
        while not self._agenda.left and self._round < self.iterations:
            values = {e: self._value(e) for e in self._missing}
            ranked = sorted((e for e in values if values[e] < math.inf), key=values.__getitem__)
            self._chosen |= frozenset(ranked[: self.top_k])
            # A round that adds nothing would only be repeated.
            self._round = self._round + 1 if ranked else self.iterations
            del self._agenda

    @property
    def _missing(self) -> list[Hashable]:
        return [element for element in self._elements if element not in self._chosen]

    def _with(self, element: Hashable) -> Genome:
        return self._sets.with_elements(self._chosen | {element})

    def _value(self, element: Hashable) -> float:
        return self._values.get(self._agenda.identity(self._with(element)), math.inf)


def _named(elements: Sequence[Hashable], names: Sequence[str]) -> frozenset[Hashable]:
    known = {str(element): element for element in elements}
    for name in names:
        if name not in known:
            raise unknown_name("element", name, known, where="algorithm.start")
    return frozenset(known[name] for name in names)
