"""The engine of dynamic programming finds what trying every path finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines.fitted.shortest_path import CheapestPaths, cheapest_path


def paths(nodes: int, steps: int) -> list[tuple[int, ...]]:
    """Every ascending path of so many edges from the first node to the last."""
    inner = itertools.combinations(range(1, nodes - 1), steps - 1)
    return [(0, *chosen, nodes - 1) for chosen in inner]


@given(
    seed=st.integers(0, 10_000),
    nodes=st.integers(2, 8),
    growth=st.sampled_from([1.0, 1.15, 0.8, 3.0]),
    below_zero=st.booleans(),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_path_is_the_best_of_all(
    seed: int, nodes: int, growth: float, below_zero: bool, data: st.DataObject
) -> None:
    """Also where every edge counts ``growth`` times as much as the one before."""
    costs = np.random.default_rng(seed).random((nodes, nodes)) - 0.5 * below_zero
    steps = data.draw(st.integers(1, nodes - 1))
    found = cheapest_path(costs, steps, keep=1 / growth)

    def total(path: tuple[int, ...]) -> float:
        return sum(growth**k * costs[i, j] for k, (i, j) in enumerate(itertools.pairwise(path)))

    assert len(found) == steps + 1
    assert total(tuple(found)) == pytest.approx(min(map(total, paths(nodes, steps))))


@given(seed=st.integers(0, 10_000), nodes=st.integers(3, 7), data=st.data())
@settings(max_examples=40, deadline=None)
def test_costs_may_depend_on_the_node_before(seed: int, nodes: int, data: st.DataObject) -> None:
    costs = np.random.default_rng(seed).random((nodes, nodes, nodes))
    steps = data.draw(st.integers(1, nodes - 2))
    ascends = np.array(
        [[[i < j < k for k in range(nodes)] for j in range(nodes)] for i in range(nodes)]
    )
    start = np.full((nodes, nodes), np.inf)
    start[0, 1] = 0.0
    search = CheapestPaths(start)
    for _ in range(steps):
        search.extend(np.where(ascends, costs, np.inf))

    def total(path: tuple[int, ...]) -> float:
        return sum(costs[path[k : k + 3]] for k in range(len(path) - 2))

    inner = itertools.combinations(range(2, nodes - 1), steps - 1)
    best = min(total((0, 1, *chosen, nodes - 1)) for chosen in inner)
    assert total(tuple(search.nodes())) == pytest.approx(best)


def test_where_the_cost_so_far_does_not_count_the_last_edge_decides() -> None:
    costs = np.random.default_rng(0).random((6, 6))
    costs[np.tril_indices(6)] = np.inf
    search = CheapestPaths(np.zeros(6), keep=0.0)
    assert (search.extend(costs)[1:] == costs.argmin(axis=0)[1:]).all()
    search.extend(costs)
    start, middle, end = search.nodes()
    # The first node is no state before the second edge.
    assert (end, middle) == (5, 1 + costs[1:, 5].argmin())
    assert start == costs[:, middle].argmin()


def test_of_equally_cheap_edges_the_earliest_is_taken() -> None:
    assert cheapest_path(np.zeros((5, 5)), 2) == [0, 1, 4]


@pytest.mark.parametrize("steps", [0, 4])
def test_no_path_of_so_many_edges(steps: int) -> None:
    with pytest.raises(ValueError, match=f"no path of {steps} edges over 4 nodes"):
        cheapest_path(np.ones((4, 4)), steps)
