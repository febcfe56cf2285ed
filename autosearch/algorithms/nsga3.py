"""NSGA-III: survivors spread over reference directions."""

import itertools
import math

from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.util.ref_dirs import get_reference_directions

from autosearch.algorithms.checks import at_least, several_objectives
from autosearch.algorithms.evolution import Evolution, Mate
from autosearch.errors import UserError
from autosearch.spaces.product import Space

__all__ = ["NSGA3", "directions", "fitting_partitions"]

_POPULATION = 24


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
        crossover, fresh, tournament, mutation, mate, initial, generational: see
            :class:`autosearch.algorithms.evolution.Evolution`. Parents are drawn at random by
            default, as in the paper.

    Raises:
        UserError: for fewer than two objectives, or more directions than population.
    """

    name = "nsga3"
    summary = "steady-state NSGA-III: reference directions, for three and more objectives"

    def __init__(
        self,
        space: Space,
        *,
        objectives: int,
        partitions: int | None = None,
        population: int | None = None,
        crossover: float = 0.7,
        fresh: float = 0.15,
        tournament: int = 1,
        mutation: float = 0.5,
        mate: Mate = "near",
        initial: int = 16,
        generational: bool = False,
    ) -> None:
        several_objectives(self.name, objectives)
        if partitions is None:
            partitions = fitting_partitions(objectives, population)
        count = directions(objectives, at_least("partitions", partitions, 1))
        super().__init__(
            space,
            objectives=objectives,
            population=max(count, 4) if population is None else population,
            crossover=crossover,
            fresh=fresh,
            tournament=tournament,
            mutation=mutation,
            mate=mate,
            initial=initial,
            generational=generational,
        )
        if count > self.population:
            raise UserError(
                f"algorithm.population: {self.population} is below the {count} reference "
                f"directions of {partitions} partitions; use at least {count}, or fewer partitions"
            )
        self._survival = ReferenceDirectionSurvival(
            get_reference_directions("das-dennis", objectives, n_partitions=partitions)
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
