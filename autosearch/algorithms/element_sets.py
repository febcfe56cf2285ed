"""What a space offers whose genomes are, in one respect, sets."""

from collections.abc import Hashable, Sequence
from typing import Protocol, runtime_checkable

from autosearch.spaces.base import Genome

__all__ = ["ElementSets"]


@runtime_checkable
class ElementSets(Protocol):
    """Subsets of a fixed list, such as attention heads or layers."""

    def elements(self) -> Sequence[Hashable]:
        """Everything that may be chosen, in a fixed order; ``str`` tells them apart."""

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        """The genome in which exactly these are chosen."""
