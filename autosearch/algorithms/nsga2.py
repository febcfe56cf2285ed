"""NSGA-II: pymoo's survival, this project's operators, no generation barrier."""

from dataclasses import dataclass

import numpy as np
from pymoo.core.individual import Individual
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from autosearch.algorithms.evolution import Evolution

__all__ = ["NSGA2"]


@dataclass(kw_only=True, eq=False)
class NSGA2(Evolution):
    """NSGA-II (Deb et al. 2002) told one result at a time.

    Survival by rank and crowding. Deviates from the paper in having no generations, in mates that
    are near, in random newcomers, and in giving the ends of a front no privilege as parents.
    ``{generational: true, favour_ends: true, fresh: 0, tournament: 2, mate: tournament}`` is the
    paper's.

    Args:
        favour_ends: whether the two ends of a front, which are infinitely uncrowded, win as
            parents too. Then many children go there: good where a front still has to be spread
            out (ZDT1: without it the hypervolume falls short by up to 13%), a waste where the
            ends are known, as with recipes, whose baselines stand at the fewest and most steps.

    The other settings are those of :class:`autosearch.algorithms.evolution.Evolution`.
    """

    name = "nsga2"
    summary = "steady-state NSGA-II with operators that know schedules"

    tournament: int = 3
    favour_ends: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._survival = RankAndCrowding()

    def _order(self, individual: Individual) -> tuple[float, ...]:
        """Lower rank first, then the less crowded, then the older."""
        crowding = individual.get("crowding")
        spread = crowding if self.favour_ends or np.isfinite(crowding) else 0.0
        return individual.get("rank"), -spread, int(individual.X[0])
