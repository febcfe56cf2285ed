"""What a space offers whose genomes are, in one respect, sets."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["ElementFamily", "ElementSets", "element_sets"]


@runtime_checkable
class ElementSets(Protocol):
    """Subsets of a fixed list, such as attention heads or layers."""

    def elements(self) -> Sequence[Hashable]:
        """Everything that may be chosen, in a fixed order; ``str`` tells them apart."""

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        """The genome in which exactly these are chosen."""


@runtime_checkable
class ElementFamily(Protocol):
    """A family whose choice is a subset of a fixed list."""

    def elements(self) -> Sequence[Hashable]:
        """As of :class:`ElementSets`."""

    def choose(self, genome: Genome, chosen: frozenset[Hashable]) -> None:
        """Make it exactly these in a genome."""


def element_sets(space: Space) -> ElementSets | None:
    """A space as sets: itself, or by the first of its families that is one; None without."""
    if isinstance(space, ElementSets):
        return space
    for family in getattr(space, "families", ()):
        if isinstance(family, ElementFamily):
            return _OfFamily(space, family)
    return None


@dataclass(frozen=True)
class _OfFamily:
    """The sets of one family; all else is as in the space's origin."""

    space: Space
    family: ElementFamily

    def elements(self) -> Sequence[Hashable]:
        return self.family.elements()

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        genome = self.space.origin()
        self.family.choose(genome, chosen)
        return self.space.repair(genome)
