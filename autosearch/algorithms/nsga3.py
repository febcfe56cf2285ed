"""NSGA-III: survivors spread over reference directions."""

import itertools
import math
from dataclasses import dataclass

from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.util.ref_dirs import get_reference_directions

from autosearch.algorithms.evolution import Evolution
from autosearch.errors import UserError

__all__ = ["NSGA3", "directions", "fitting_partitions"]

_POPULATION = 24


@dataclass(kw_only=True, eq=False)
class NSGA3(Evolution):
    """NSGA-III (Deb & Jain 2014) told one result at a time.

    Made for three and more objectives, where crowding no longer tells points apart; works with
    two. Directions are the even ones of Das and Dennis (1998). Deviates from the paper in having
    no generations, in mates that are near, and in random newcomers. ``generational: true,
    fresh: 0, mate: tournament`` is the paper's.

    Args:
        partitions: parts that each axis is cut into; p parts of M objectives give
            C(p + M - 1, M - 1) directions. By default as many as the population has room for,
            or, without a population, the fewest that give 24 directions.
        population: how many results survive; one for each direction by default.
        tournament: of how many survivors the best becomes a parent; 1, as in the paper, draws
            parents at random.

    The other settings are those of :class:`autosearch.algorithms.evolution.Evolution`.

    Raises:
        UserError: for fewer than two objectives, or more directions than population.
    """

    name = "nsga3"
    summary = "steady-state NSGA-III: reference directions, for three and more objectives"

    partitions: int | None = None
    population: int | None = None  # type: ignore[assignment]  # a number once it is checked
    tournament: int = 1

    def __post_init__(self) -> None:
        self._require_several_objectives()
        if self.partitions is None:
            self.partitions = fitting_partitions(self.objectives, self.population)
        self._require_least(partitions=1)
        count = directions(self.objectives, self.partitions)
        if self.population is None:
            self.population = max(count, 4)
        super().__post_init__()
        if count > self.population:
            raise UserError(
                f"algorithm.population: {self.population} is below the {count} reference "
                f"directions of {self.partitions} partitions; use at least {count}, or fewer "
                "partitions"
            )
        self._survival = ReferenceDirectionSurvival(
            get_reference_directions("das-dennis", self.objectives, n_partitions=self.partitions)
        )


def directions(objectives: int, partitions: int) -> int:
    """How many directions so many parts of each axis give."""
    return math.comb(partitions + objectives - 1, objectives - 1)


def fitting_partitions(objectives: int, population: int | None) -> int:
    """The most partitions that a population has room for; the fewest for 24 without one."""
    for partitions in itertools.count(1):
        if population is None and directions(objectives, partitions) >= _POPULATION:
            break
        if population is not None and directions(objectives, partitions + 1) > population:
            break
    return partitions
