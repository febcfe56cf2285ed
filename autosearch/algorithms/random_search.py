"""Random search: every proposal is a fresh draw."""

from collections.abc import Sequence

from autosearch._typing import Rng
from autosearch.algorithms.base import Algorithm, Proposal
from autosearch.spaces.base import Genome

__all__ = ["RandomSearch"]


class RandomSearch(Algorithm):
    """Independent draws from the space; the yardstick for everything else."""

    name = "random"
    summary = "independent random recipes"

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome | None:
        return self.space.sample(rng)
