"""An algorithm of one's own: hill climbing that starts afresh when it is stuck."""

from collections.abc import Sequence

from autosearch.algorithms.base import Algorithm, Proposal, Result, Rng
from autosearch.spaces.base import Genome


class Climber(Algorithm):
    """Mutates the best recipe of the current climb, by its first objective.

    Args:
        patience: results without progress after which a new climb starts at a random recipe.
    """

    name = "climber"
    summary = "hill climbing with restarts"

    def __init__(self, space, *, objectives: int, patience: int = 10) -> None:
        super().__init__(space, objectives=objectives)
        self.patience = patience
        self._best: Genome | None = None
        self._value = float("inf")
        self._stuck = 0

    def ask(self, rng: Rng, pending: Sequence[Proposal]) -> Genome:
        """Answers from what was told and from ``rng``; changes nothing."""
        if self._best is None:
            return self.space.sample(rng)
        return self.space.mutate(self._best, rng)

    def tell(self, results: Sequence[Result], pending: Sequence[Proposal]) -> None:
        """The only thing that changes an algorithm; ``values`` are all to be minimised."""
        for result in results:
            value = float("inf") if result.values is None else result.values[0]
            if result.genome is not None and value < self._value:
                self._best, self._value, self._stuck = result.genome, value, 0
            else:
                self._stuck += 1
            if self._stuck > self.patience:
                self._best, self._value, self._stuck = None, float("inf"), 0
