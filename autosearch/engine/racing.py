"""Racing: a candidate gets more samples only while it may still be worth them.

A candidate is measured on the first rung's samples, then on more of the same noise. After each
rung but the last it is compared in pairs, on the same seed blocks, with results that were told
before it was proposed: where one of no greater cost is better, surely, on everything that is
measured, the candidate stops. What it stops with stays a result; it is no part of a front.

How sure is what earlier results say of the measurement's tails (``paired_bound``): consecutive
ones are pairs whose blocks at a rung can be compared with what more samples showed of them later.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Array
from autosearch.engine.paired_bound import (
    LEAST_BLOCKS,
    Bound,
    Tail,
    hidden_shift,
    paired_blocks,
    surely_worse,
    tail_weight,
)
from autosearch.objectives import Estimate, Objective

__all__ = ["LEVEL", "Race"]

# How likely a candidate is stopped, at any rung, that none of its rivals is better than.
LEVEL = 0.05
# So many of the rivals that look best are looked at; the level is shared among all there are, since
# the best looking of many owe some of their looks to luck.
_RIVALS = 3
# Of each cost so many are never stopped; costs this near to one another, as a share, are one.
_KEPT = 2
_NEAR = 0.05
# How much of the tail that a rival's own pairs show counts: there are two of them at most.
_OWN = 0.8

Estimates = Mapping[str, Estimate]


class Race:
    """Decides after each rung which candidates get more samples.

    Args:
        rungs: numbers of samples, growing.
        objectives: all of the search's; declared ones are known exactly.
        level: of a wrong stop of one candidate, over all rungs.
        bound: what says that one result is worse than another.
    """

    def __init__(
        self,
        rungs: Sequence[int],
        objectives: Sequence[Objective],
        *,
        level: float = LEVEL,
        bound: Bound = surely_worse,
    ) -> None:
        self.rungs = tuple(rungs)
        self.level = level
        self._bound = bound
        self._objectives = list(objectives)
        self._declared = np.array([not o.needs for o in objectives])
        self._known = [_Table(len(objectives), int((~self._declared).sum())) for _ in rungs]

    def tell(self, number: int, reached: Sequence[Estimates]) -> None:
        """Take in a result: its estimates at each rung that it reached."""
        results = [self._result(estimates) for estimates in reached]
        for rung, table in enumerate(self._known[: len(results)]):
            table.add(number, results[rung:], self.rungs[rung:])

    def stops(self, estimates: Estimates, rung: int, *, before: int) -> bool:
        """Whether a candidate with these estimates at a rung (from 0) gets no more samples.

        Args:
            estimates: of everything that is measured at the rung.
            rung: its place among the rungs.
            before: only results with a lower id count: those told before it was proposed.
        """
        if rung + 1 >= len(self.rungs):
            return True
        table, own = self._known[rung], self._result(estimates)
        values, costs = table.values[:, ~self._declared], table.values[:, self._declared]
        cost = own.values[self._declared]
        cheap = (table.ids < before) & (costs <= cost).all(axis=1)
        equal = cheap & (costs >= cost - _NEAR * np.abs(cost)).all(axis=1)
        better = equal & (values < own.values[~self._declared]).all(axis=1)
        if better.sum() < _KEPT:
            return False
        rivals = np.flatnonzero(cheap)
        level = self.level / (len(self.rungs) - 1) / len(rivals)
        for rival in rivals[np.lexsort(values[rivals].T[::-1])][:_RIVALS]:
            if self._surely_worse(own, table, int(rival), before, level):
                return True
        return False

    def _result(self, estimates: Estimates) -> "_Result":
        """A result with everything to be minimised."""
        ordered = [_minimised(o, estimates[o.name]) for o in self._objectives]
        measured = zip(ordered, self._declared, strict=True)
        blocks = [np.asarray(one.pseudo, np.float64) for one, exact in measured if not exact]
        return _Result(np.array([one.value for one in ordered]), blocks)

    def _surely_worse(
        self, own: "_Result", table: "_Table", row: int, before: int, level: float
    ) -> bool:
        """Whether a rival is better on everything measured, each at a one-sided level."""
        rival = table.results[row]
        differences = (own.values - rival.values)[~self._declared]
        tails = table.tails(row, before)
        each = zip(differences, own.blocks, rival.blocks, tails, strict=True)
        return all(
            self._bound(float(difference), mine, theirs, tail=tail, level=level)
            for difference, mine, theirs, tail in each
        )


class _Result(NamedTuple):
    """What was found at a rung, with everything to be minimised.

    Attributes:
        values: [objectives].
        blocks: of each measured objective its pseudo-values [B]; [0] of one that is exact.
    """

    values: Array
    blocks: Sequence[Array]


class _Table:
    """Results at one rung, in the order in which they were told, and what they say of tails.

    Args:
        width: the number of objectives.
        measured: how many of them are not declared.
    """

    def __init__(self, width: int, measured: int) -> None:
        self.results: list[_Result] = []
        self._last: tuple[int, Sequence[_Result]] | None = None
        # By row: its id, and the larger one of its own and of the row's before.
        self._ids = np.empty((64, 2), dtype=np.int64)
        self._values = np.empty((64, width))
        # The tail weights of the difference from the row before; the blocks of its last rung.
        self._weights = np.empty((64, measured))
        self._blocks = np.empty((64, measured))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The id [N] of each."""
        return self._ids[: len(self.results), 0]

    @property
    def values(self) -> Array:
        """The values [N, objectives] of each."""
        return self._values[: len(self.results)]

    def add(self, number: int, reached: Sequence[_Result], rungs: Sequence[int]) -> None:
        """Take in a result at this rung and the later ones that it reached, each of samples."""
        row = len(self.results)
        if row == len(self._ids):
            for name in ("_ids", "_values", "_weights", "_blocks"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.empty_like(array)]))
        self._ids[row], self._values[row] = number, reached[0].values
        self._weights[row] = 1.0
        if self._last is not None:
            self._ids[row, 1] = max(number, self._last[0])
            self._weights[row] = _tail_weights(reached, self._last[1], rungs)
        self._blocks[row] = [len(blocks) for blocks in reached[-1].blocks]
        self.results.append(reached[0])
        self._last = number, reached

    def tails(self, row: int, before: int) -> list[Tail]:
        """The tail of each measured objective, by earlier results, for a row's comparisons.

        By all pairs of them, and by those that the row is one of: of a tail that a row alone has,
        later rungs tell.
        """
        pairs = self._pairs(before)
        common = np.ones(self._weights.shape[1])
        if len(pairs):
            common = np.maximum(self._weights[pairs].mean(axis=0), 1.0)
        near = [pair for pair in (row, row + 1) if pair in pairs]
        own = _OWN * self._weights[near].max(axis=0, initial=0.0)
        blocks = self._blocks[: len(self.results)][self.ids < before].sum(axis=0)
        return [
            Tail(max(weight, mine), hidden_shift(weight, seen) if seen else 0.0)
            for weight, mine, seen in zip(
                common.tolist(), own.tolist(), blocks.tolist(), strict=True
            )
        ]

    def _pairs(self, before: int) -> NDArray[np.intp]:
        """The later rows of pairs of earlier results."""
        return 1 + np.flatnonzero(self._ids[1 : len(self.results), 1] < before)


def _tail_weights(
    reached: Sequence[_Result], other: Sequence[_Result], rungs: Sequence[int]
) -> Array:
    """The tail weights of a difference at the first rung, seen from the last that both reached."""
    last = min(len(reached), len(other)) - 1
    weights = []
    for seen, later in zip(
        zip(reached[0].blocks, other[0].blocks, strict=True),
        zip(reached[last].blocks, other[last].blocks, strict=True),
        strict=True,
    ):
        first, whole = paired_blocks(*seen), paired_blocks(*later)
        if min(len(first), len(whole)) < LEAST_BLOCKS:
            weights.append(1.0)
        else:
            growth = rungs[last] / len(whole) / (rungs[0] / len(first))
            weights.append(tail_weight(first, whole, growth=growth))
    return np.array(weights)


def _minimised(objective: Objective, estimate: Estimate) -> Estimate:
    if objective.direction == "minimize":
        return estimate
    return Estimate(-estimate.value, tuple(-value for value in estimate.pseudo))
