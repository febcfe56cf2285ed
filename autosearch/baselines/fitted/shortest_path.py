"""Cheapest paths of a given number of edges, by dynamic programming: Bellman's recursion.

Fits that place the K steps of a recipe on the points of a fine trajectory ask for a path of exactly
K edges. They differ in what an edge costs and in what becomes of the cost so far, which is
multiplied by ``keep`` at every edge:

    BOSS      the costs of all edges add up                             keep 1
    GITS      each edge counts gamma times as much as the one before    keep 1 / gamma
    OSS       an edge starts from the state that the cheapest path has
              come to, and its cost is all that counts                  keep 0
    DPCache   costs add up, and depend on the node before the edge too  keep 1, pairs of nodes

Where edges start from the states of paths (OSS), costs are new at each edge and only one path to
each node has a state: what comes out is greedy. In all other cases it is the optimum.
"""

import math

import numpy as np
from numpy.typing import NDArray

from autosearch._typing import Array

__all__ = ["CheapestPaths", "cheapest_path"]


class CheapestPaths:
    """The cheapest paths with as many edges as were added, one for each cell that they end in.

    A cell is the last r nodes of a path: r is 1 where the cost of an edge depends on its two nodes
    alone, and 2 where it also depends on the node before them.

    Args:
        start: ``[nodes] * r``; the cost at each cell before the first edge, infinite where no path
            begins.
        keep: what the cost so far is multiplied by when an edge is added.
    """

    def __init__(self, start: Array, *, keep: float = 1.0) -> None:
        self._costs = start
        self._keep = keep
        self._before: list[NDArray[np.int64]] = []

    def extend(self, costs: Array) -> NDArray[np.int64]:
        """Add one edge to all paths.

        Args:
            costs: ``[nodes] * (r + 1)``; of the edge from each cell, the first r indices, to each
                node, the last one. Infinite where there is no edge.

        Returns:
            ``[nodes] * r``; for each cell the first node of the cell that its path was in before;
            the earliest of equally cheap ones.
        """
        reached = np.isfinite(self._costs)
        so_far = np.where(reached, self._keep * np.where(reached, self._costs, 0.0), math.inf)
        totals = so_far[..., None] + costs
        before: NDArray[np.int64] = totals.argmin(axis=0)
        self._costs = totals.min(axis=0)
        self._before.append(before)
        return before

    def nodes(self) -> list[int]:
        """The nodes of the cheapest path to the last node: r, and one for each edge.

        Raises:
            ValueError: when no path of so many edges leads there.
        """
        count = self._costs.shape[-1]
        ends = self._costs.reshape(-1, count)[:, -1]
        if not np.isfinite(ends).any():
            raise ValueError(f"no path of {len(self._before)} edges over {count} nodes")
        last = np.unravel_index(int(ends.argmin()) * count + count - 1, self._costs.shape)
        cell = tuple(int(node) for node in last)
        path = list(cell)
        for before in reversed(self._before):
            first = int(before[cell])
            path.insert(0, first)
            cell = (first, *cell[:-1])
        return path


def cheapest_path(costs: Array, steps: int, *, keep: float = 1.0) -> list[int]:
    """The nodes of the cheapest path of exactly ``steps`` edges from the first node to the last.

    Args:
        costs: [nodes, nodes]; of the edges from i to j > i.
        steps: how many edges; at most one fewer than there are nodes.
        keep: see :class:`CheapestPaths`.

    Returns:
        ``steps + 1`` ascending nodes.

    Raises:
        ValueError: when there is no such path.
    """
    nodes = len(costs)
    forward = np.where(np.triu(np.ones((nodes, nodes), dtype=bool), 1), costs, math.inf)
    start = np.full(nodes, math.inf)
    start[0] = 0.0
    paths = CheapestPaths(start, keep=keep)
    for _ in range(steps):
        paths.extend(forward)
    return paths.nodes()
