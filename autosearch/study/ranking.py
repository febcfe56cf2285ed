"""Candidates compared by their values: which are non-dominated, which are best at each cost."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting, find_non_dominated

from autosearch._typing import Array
from autosearch.objectives import find
from autosearch.objectives.base import Objective
from autosearch.study.study import Candidate, Estimates, Study

__all__ = ["Ranking", "non_dominated", "objective", "objectives_of", "signs", "values_of"]

# Gives the estimates of a candidate that count: the search's, or those of a validation.
Reader = Callable[[Candidate], Estimates]
_MOST_GROUPS = 20
_BINS = 10


def signs(objectives: Sequence[Objective]) -> Array:
    """[objectives]: +1 for those to minimise, -1 for those to maximise."""
    return np.array([-1.0 if o.direction == "maximize" else 1.0 for o in objectives])


def non_dominated(points: Array) -> list[int]:
    """Indices of the non-dominated rows of [N, objectives], all to be minimised."""
    return [int(i) for i in find_non_dominated(points)] if len(points) else []


@functools.cache
def objective(name: str) -> Objective:
    """An objective by its name; looked up once, since installed packages take milliseconds."""
    one: Objective = find(name)()
    return one


def objectives_of(study: Study) -> list[Objective]:
    """The objectives of a study, in its order."""
    return [objective(name) for name in study.experiment.objectives]


def _search_values(candidate: Candidate) -> Estimates:
    return candidate.values


def values_of(
    candidates: Sequence[Candidate], objectives: Sequence[Objective], read: Reader = _search_values
) -> Array:
    """[N, objectives] values to be minimised."""
    rows = [[read(c)[o.name].value for o in objectives] for c in candidates]
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))
    return values * signs(objectives)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates with what they are compared by.

    Attributes:
        candidates: N of them.
        objectives: M of them.
        values: [N, M], to be minimised: those of objectives to maximise have their sign changed.
    """

    candidates: Sequence[Candidate]
    objectives: Sequence[Objective]
    values: Array

    @classmethod
    def of(
        cls,
        candidates: Sequence[Candidate],
        objectives: Sequence[Objective],
        read: Reader = _search_values,
    ) -> "Ranking":
        """Compare candidates by what ``read`` gives for each."""
        return cls(candidates, objectives, values_of(candidates, objectives, read))

    def subset(self, mask: NDArray[np.bool_]) -> "Ranking":
        """Those of a mask [N]."""
        kept = list(itertools.compress(self.candidates, mask.tolist()))
        return Ranking(kept, self.objectives, self.values[mask])

    @property
    def measured(self) -> list[int]:
        """Columns of the objectives that take samples to know."""
        return [i for i, one in enumerate(self.objectives) if one.needs]

    def front(self) -> list[int]:
        """Indices of the non-dominated candidates."""
        return non_dominated(self.values)

    def cost_groups(self) -> NDArray[np.int64]:
        """[N] groups: the search's value of the first declared objective, or a bin of it."""
        declared = [o.name for o in self.objectives if not o.needs]
        if not declared or not self.candidates:
            return np.zeros(len(self.candidates), dtype=np.int64)
        costs = np.array([c.values[declared[0]].value for c in self.candidates])
        edges = np.unique(costs)
        if len(edges) > _MOST_GROUPS:
            space = np.geomspace if edges[0] > 0 else np.linspace
            edges = space(edges[0], edges[-1], _BINS + 1)[1:-1]
        return np.searchsorted(edges, costs, side="right")

    def per_cost(self) -> list[list[int]]:
        """Indices of each cost's candidates, best first.

        That is by non-domination rank on the measured objectives, then by their values in the
        experiment's order, then by the candidates' numbers.
        """
        groups = self.cost_groups()
        columns = self.measured or list(range(len(self.objectives)))
        ids = np.array([c.id for c in self.candidates])
        members = []
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            values = self.values[rows][:, columns]
            ranks = np.zeros(len(rows))
            if len(columns) > 1:  # else the value alone says it
                for rank, front in enumerate(NonDominatedSorting().do(values)):
                    ranks[front] = rank
            order = np.lexsort((ids[rows], *values.T[::-1], ranks))
            members.append([int(i) for i in rows[order]])
        return members

    def dominator(self, row: int) -> int | None:
        """The number of the candidate that dominates one: the best in the first objective."""
        ours = self.values[row]
        better = (self.values <= ours).all(axis=1) & (self.values < ours).any(axis=1)
        numbers = {self.candidates[j].id: self.values[j] for j in np.flatnonzero(better).tolist()}
        return min(numbers, key=lambda number: (*numbers[number], number), default=None)
