"""Racing: a candidate gets more samples only while it may still be worth them.

A candidate is measured on the first rung's samples, then on more of the same noise. After each
rung but the last it is compared in pairs, on the same seed blocks, with results that were told
before it was proposed: where one of no greater cost is better, surely, on everything that is
measured, the candidate stops. What it stops with stays a result; it is no part of a front.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Array
from autosearch.objectives import Estimate, Objective, compare

__all__ = ["LEVEL", "Race"]

# How likely a candidate is stopped, at any rung, that none of its rivals is better than.
LEVEL = 0.05
# The share of the level that is spent: what is left covers that intervals are not quite exact.
_SPENT = 0.5
# So many of the rivals that look best are looked at; the level is shared among all there are, since
# the best looking of many owe some of their looks to luck.
_RIVALS = 3
# Of each cost so many are never stopped; costs this near to one another, as a share, are one.
_KEPT = 2
_NEAR = 0.05

Estimates = Mapping[str, Estimate]


class Race:
    """Decides after each rung which candidates get more samples.

    Args:
        rungs: numbers of samples, growing.
        objectives: all of the search's; declared ones are known exactly.
        level: of a wrong stop of one candidate, over all rungs.
    """

    def __init__(
        self, rungs: Sequence[int], objectives: Sequence[Objective], *, level: float = LEVEL
    ) -> None:
        self.rungs = tuple(rungs)
        self.level = level
        self._objectives = list(objectives)
        self._measured = [o for o in objectives if o.needs]
        self._known = [_Table(len(objectives)) for _ in rungs]

    def tell(self, number: int, reached: Sequence[Estimates]) -> None:
        """Take in a result: its estimates at each rung that it reached."""
        for table, estimates in zip(self._known, reached, strict=False):
            table.add(number, self._signed(estimates), estimates)

    def stops(self, estimates: Estimates, rung: int, *, before: int) -> bool:
        """Whether a candidate with these estimates at a rung (from 0) gets no more samples.

        Args:
            estimates: of everything that is measured at the rung.
            rung: its place among the rungs.
            before: only results with a lower id count: those told before it was proposed.
        """
        if rung + 1 >= len(self.rungs):
            return True
        table = self._known[rung]
        values = table.values
        own = self._signed(estimates)
        declared = np.array([not o.needs for o in self._objectives])
        earlier = table.ids < before
        cheap = earlier & (values[:, declared] <= own[declared]).all(axis=1)
        near = own[declared] - _NEAR * np.abs(own[declared])
        equal = cheap & (values[:, declared] >= near).all(axis=1)
        better = equal & (values[:, ~declared] < own[~declared]).all(axis=1)
        if better.sum() < _KEPT:
            return False
        places = np.flatnonzero(cheap)
        order = np.lexsort(values[places][:, ~declared].T[::-1])
        share = _SPENT * self.level / (len(self.rungs) - 1) / len(places)
        return any(
            self._surely_better(table.estimates[int(i)], estimates, share)
            for i in places[order][:_RIVALS]
        )

    def _signed(self, estimates: Estimates) -> Array:
        """[objectives] values, all to be minimised."""
        return np.array([_minimised(o, estimates[o.name]).value for o in self._objectives])

    def _surely_better(self, a: Estimates, b: Estimates, share: float) -> bool:
        """Whether a is better than b on everything measured, each at a one-sided level."""
        for o in self._measured:
            difference = compare(_minimised(o, b[o.name]), _minimised(o, a[o.name]), 1 - 2 * share)
            if difference[1][0] <= 0:
                return False
        return True


class _Table:
    """Results at one rung, in the order in which they were told."""

    def __init__(self, width: int) -> None:
        self.estimates: list[Estimates] = []
        self._ids = np.empty(64, dtype=np.int64)
        self._values = np.empty((64, width))

    @property
    def ids(self) -> NDArray[np.int64]:
        return self._ids[: len(self.estimates)]

    @property
    def values(self) -> Array:
        return self._values[: len(self.estimates)]

    def add(self, number: int, values: Array, estimates: Estimates) -> None:
        count = len(self.estimates)
        if count == len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty_like(self._ids)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)])
        self._ids[count], self._values[count] = number, values
        self.estimates.append(estimates)


def _minimised(objective: Objective, estimate: Estimate) -> Estimate:
    if objective.direction == "minimize":
        return estimate
    return Estimate(-estimate.value, tuple(-value for value in estimate.pseudo))
