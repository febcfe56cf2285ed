"""ECAD's settings of NSGA-II, in generations."""

from autosearch.algorithms.base import Rng
from autosearch.algorithms.evolution import Mate
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.spaces.product import Space

__all__ = ["ECAD"]


class ECAD(NSGA2):
    """The search of ECAD (evolutionary caching): NSGA-II in generations, with its settings.

    Published: populations of 72 (PixArt) or 24 (FLUX), crossover with probability 0.9, and
    mutation of a whole individual with probability 0.05, whether or not it was recombined; a
    child that neither touched is a duplicate and is drawn again. The first population mixes
    random genomes with heuristics: here the study's baselines and random ones. Deviates in the
    operators, which are the space's (ECAD: crossover at four points, and about one flipped bit).

    Args:
        population, crossover, fresh, tournament, mutation, mate, initial, generational: see
            :class:`autosearch.algorithms.evolution.Evolution`.
        favour_ends: see :class:`autosearch.algorithms.nsga2.NSGA2`.
    """

    name = "ecad"
    summary = "NSGA-II in generations with ECAD's settings"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        population: int = 72,
        crossover: float = 0.9,
        fresh: float = 0.0,
        tournament: int = 2,
        mutation: float = 0.05,
        mate: Mate = "tournament",
        initial: int = 2,
        generational: bool = True,
        favour_ends: bool = True,
    ) -> None:
        super().__init__(
            space,
            objectives=objectives,
            population=population,
            crossover=crossover,
            fresh=fresh,
            tournament=tournament,
            mutation=mutation,
            mate=mate,
            initial=initial,
            generational=generational,
            favour_ends=favour_ends,
        )

    def _mutates(self, crossed: bool, rng: Rng) -> bool:
        return rng.random() < self.mutation
