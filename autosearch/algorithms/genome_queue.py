"""Genomes to try in a fixed order, each distinct plan once."""

from collections.abc import Callable, Iterable, Sequence, Set

from autosearch.algorithms.base import Proposal
from autosearch.spaces.base import Genome, clone

__all__ = ["GenomeQueue"]


class GenomeQueue:
    """What is left of a list of genomes.

    Args:
        genomes: in the order of trying.
        identity: of a genome's plan: which of them are the same.
        permits: what may be tried at all; the rest would be asked for again and again.

    Attributes:
        left: genomes that were not told, by their plans' identity.
    """

    def __init__(
        self,
        genomes: Iterable[Genome],
        identity: Callable[[Genome], str],
        permits: Callable[[Genome], bool],
    ) -> None:
        self._identity = identity
        self.left: dict[str, Genome] = {}
        for genome in filter(permits, genomes):
            self.left.setdefault(identity(genome), genome)

    def next(self, pending: Sequence[Proposal]) -> Genome | None:
        """The first that is neither told nor pending."""
        waiting = {self._identity(proposal.genome) for proposal in pending}
        for identity, genome in self.left.items():
            if identity not in waiting:
                return clone(genome)
        return None

    def drop(self, identities: Set[str]) -> None:
        """Take out the genomes of some plans."""
        for identity in identities & self.left.keys():
            del self.left[identity]
