"""What an algorithm owes: one method, ``ask``.

    call                         what follows
    ask(rng, pending)            a genome to try, or None when there is nothing left to propose;
                                 changes nothing: asking twice with equal rng gives equal genomes
    tell(results, pending)       the only thing that changes an algorithm's state
    tell of an infeasible one    values are None; never an error
    asked but never told         harmless: a result may come late or not at all

So the state is a pure function of the list of tells, and a study resumes by telling again.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from autosearch.spaces.base import Genome
from autosearch.spaces.product import Space

__all__ = ["Algorithm", "Result", "Rng"]

Rng = np.random.Generator


@dataclass(frozen=True)
class Result:
    """One finished candidate. ``values`` are all to be minimised; None when infeasible.

    ``genome`` is None for a recipe that the space cannot encode. ``cost`` is what evaluating it
    takes of the budget, in any unit that is the same for all.
    """

    id: int
    genome: Genome | None
    values: tuple[float, ...] | None
    cost: float = 1.0


class Algorithm(ABC):
    """Proposes genomes of a space.

    Args:
        space: where genomes come from; use its operators or its box.
        objectives: how many values a result has.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, space: Space, *, objectives: int) -> None:
        self.space = space
        self.objectives = objectives

    @abstractmethod
    def ask(self, rng: Rng, pending: Sequence[Genome]) -> Genome | None:
        """A genome to try next."""

    def tell(self, results: Sequence[Result], pending: Sequence[Genome]) -> None:
        """Learn finished results; ``pending`` are the genomes asked for and not yet told."""
        return
