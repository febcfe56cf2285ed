"""Differential evolution over the box of a space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.unit_box import UnitBox
from autosearch.errors import UserError

__all__ = ["DifferentialEvolution"]


@dataclass(frozen=True)
class _Member:
    """A point of the unit cube. Constraints come first (Deb 2000): less broken, then better."""

    place: Array
    key: tuple[float, float]


@dataclass(kw_only=True, eq=False)
class DifferentialEvolution(Algorithm):
    """Differential evolution (Storn & Price 1997): DE/rand/1/bin or DE/best/1/bin, one objective.

    Candidate k challenges member k modulo the population and takes its place when it is no worse.
    Deviates from the paper in having no generations: a member is replaced as soon as its challenger
    is told. A trial that leaves the box is mirrored at its wall. Whole numbers and choices are
    equal parts of an axis. Results without a point of the box, such as baselines, are left out.

    Args:
        population: how many members; the first proposals are random until all places are taken.
        weight: F, by which the difference of two members is scaled.
        crossover: CR, the share of coordinates that a trial takes from its mutant; at least one.
        strategy: the mutant starts from a random member, or from the best.

    Raises:
        UserError: for more than one objective, or a space without a box.
    """

    name = "de"
    summary = "differential evolution over the box, for one objective"

    population: int = 20
    weight: float = 0.7
    crossover: float = 0.9
    strategy: Literal["rand", "best"] = "rand"

    def __post_init__(self) -> None:
        self._require_one_objective()
        self._require_least(population=4)
        if not 0 < self.weight <= 2:
            raise UserError(f"algorithm.weight: {self.weight:g} is out of range; use above 0, to 2")
        self._require_shares("crossover")
        self._box = UnitBox(self.space.box())
        self._members: list[_Member | None] = [None] * self.population
        self._told = 0

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Proposal:
        target = (self._told + len(pending)) % self.population
        point = self._box.point(self._trial(target, rng))
        return Proposal(self.space.from_box(point), point)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        for result in results:
            self._told += 1
            values = result.values or result.measured
            if values is None or result.point is None:
                continue
            broken = 0.0 if result.values else result.broken
            newcomer = _Member(self._box.unit(result.point), (broken, values[0]))
            place = result.id % self.population
            member = self._members[place]
            if member is None or newcomer.key <= member.key:
                self._members[place] = newcomer

    def _trial(self, target: int, rng: Rng) -> Array:
        """[d] point of the unit cube that challenges a member."""
        member = self._members[target]
        others = [m for m in self._members if m is not None and m is not member]
        if member is None or len(others) < 3:
            return rng.random(self._box.dimension)
        base, one, two = (others[i] for i in rng.permutation(len(others))[:3])
        if self.strategy == "best":
            base = min([*others, member], key=lambda m: m.key)
        mutant = _reflect(base.place + self.weight * (one.place - two.place))
        taken = rng.random(len(mutant)) < self.crossover
        taken[int(rng.integers(len(mutant)))] = True
        return np.where(taken, mutant, member.place)


def _reflect(coordinates: Array) -> Array:
    """[d] coordinates brought back into [0, 1], reflected at the walls as often as needed."""
    return np.asarray(1.0 - np.abs(1.0 - coordinates % 2.0))
