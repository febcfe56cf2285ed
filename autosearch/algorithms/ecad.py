"""ECAD's settings of NSGA-II, in generations."""

from dataclasses import dataclass

from autosearch._typing import Rng
from autosearch.algorithms.evolution import Mate
from autosearch.algorithms.nsga2 import NSGA2

__all__ = ["ECAD"]


@dataclass(kw_only=True, eq=False)
class ECAD(NSGA2):
    """The search of ECAD (evolutionary caching): NSGA-II in generations, with its settings.

    Published: populations of 72 (PixArt) or 24 (FLUX), crossover with probability 0.9, and
    mutation of a whole individual with probability 0.05, whether or not it was recombined; a
    child that neither touched is a duplicate and is drawn again. The first population mixes
    random genomes with heuristics: here the study's baselines and random ones. Deviates in the
    operators, which are the space's (ECAD: crossover at four points, and about one flipped bit).

    The settings are those of :class:`autosearch.algorithms.nsga2.NSGA2`.
    """

    name = "ecad"
    summary = "NSGA-II in generations with ECAD's settings"

    population: int = 72
    crossover: float = 0.9
    fresh: float = 0.0
    tournament: int = 2
    mutation: float = 0.05
    mate: Mate = "tournament"
    initial: int = 2
    generational: bool = True
    favour_ends: bool = True

    def _mutates(self, crossed: bool, rng: Rng) -> bool:
        return rng.random() < self.mutation
