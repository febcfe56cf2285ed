"""Differential evolution over a box."""

from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.differential_evolution import DifferentialEvolution
from autosearch.errors import UserError
from autosearch.spaces.base import Parameter


class Box:
    """Four floats and a whole number; the genome is the point."""

    def box(self) -> list[Parameter]:
        return [Parameter(f"x{i}", "float", -2.0, 3.0) for i in range(4)] + [
            Parameter("n", "int", 1, 9)
        ]

    def from_box(self, values: Any) -> dict[str, Any]:
        return dict(values)


def sphere(point: Any) -> float:
    """Best at x = 1, n = 4."""
    return sum((point[f"x{i}"] - 1) ** 2 for i in range(4)) + 0.1 * (point["n"] - 4) ** 2


def made(**settings: Any) -> DifferentialEvolution:
    return DifferentialEvolution(Box(), objectives=1, **settings)  # type: ignore[arg-type]


def searched(algorithm: DifferentialEvolution, count: int, lag: int = 1) -> list[Result]:
    asked: list[Proposal] = []
    results = []
    for k in range(count + lag):
        if k >= lag:
            point = asked[k - lag].point
            assert point is not None
            result = Result(k - lag, dict(point), (sphere(point),), point=point)
            algorithm.tell([result], asked[k - lag + 1 :])
            results.append(result)
        asked.append(algorithm.ask(np.random.default_rng([2, k]), asked[max(k - lag + 1, 0) :]))
    return results


@pytest.mark.parametrize("strategy", ["rand", "best"])
@pytest.mark.parametrize("lag", [1, 16])
def test_it_finds_the_minimum(strategy, lag):
    results = searched(made(strategy=strategy, weight=0.5), 1200, lag)
    assert min(result.values[0] for result in results if result.values) < 1e-3


def test_members_never_get_worse_and_each_is_challenged_in_turn():
    algorithm = made(population=6)
    results = searched(algorithm, 300)
    assert algorithm._told == 300
    for place, member in enumerate(algorithm._members):
        best = min(r.values[0] for r in results if r.id % 6 == place and r.values)
        assert member is not None
        assert member.key == (0.0, best)


def test_a_trial_is_the_difference_of_two_others_added_to_a_third():
    """DE/rand/1 with CR = 1, against all ordered triples of members."""
    algorithm = made(population=5, weight=0.4, crossover=1.0)
    draws = np.random.default_rng(4)
    places = 0.3 + 0.4 * draws.random((5, 5))
    for k, place in enumerate(places):
        point = algorithm._box.point(place)
        algorithm.tell([Result(k, dict(point), (1.0,), point=point)], [])
    members = [algorithm._box.unit(m) for m in map(algorithm._box.point, places)]
    asked = algorithm.ask(np.random.default_rng(0), []).point
    assert asked is not None
    possible = [
        algorithm._box.point(members[a] + 0.4 * (members[b] - members[c]))
        for a, b, c in np.ndindex(5, 5, 5)
        if len({a, b, c, 0}) == 4
    ]
    assert any(
        all(asked[f"x{i}"] == pytest.approx(other[f"x{i}"]) for i in range(4)) for other in possible
    )


def test_constraints_come_before_values():
    algorithm = made(population=4)
    point = {**{f"x{i}": 0.0 for i in range(4)}, "n": 1}
    steps = [
        (None, (5.0,), (2.0,), (2.0, 5.0)),
        (None, (9.0,), (1.0, -3.0), (1.0, 9.0)),
        (None, (0.0,), (1.5,), (1.0, 9.0)),
        (None, None, (), (1.0, 9.0)),
        ((7.0,), (7.0,), (0.0,), (0.0, 7.0)),
        (None, (0.0,), (0.1,), (0.0, 7.0)),
        ((6.0,), (6.0,), (), (0.0, 6.0)),
    ]
    for values, measured, violations, key in steps:
        told = Result(4, point, values, point=point, measured=measured, violations=violations)
        algorithm.tell([told], [])
        member = algorithm._members[0]
        assert member is not None
        assert member.key == key


def test_results_without_a_point_are_left_out_but_counted():
    algorithm = made(population=4)
    algorithm.tell([Result(k, {}, (0.0,)) for k in range(6)], [])
    assert algorithm._members == [None] * 4
    # Candidate 6 challenges place 2.
    assert algorithm._told == 6


def test_points_stay_in_the_box():
    algorithm = made(population=5, weight=2.0)
    for result in searched(algorithm, 400):
        assert result.point is not None
        values = [float(result.point[f"x{i}"]) for i in range(4)]
        assert -2 <= min(values) <= max(values) <= 3
        assert 1 <= int(result.point["n"]) <= 9


def test_it_works_on_a_real_space(space):
    algorithm = DifferentialEvolution(space, objectives=1, population=6)
    for k in range(40):
        asked = algorithm.ask(np.random.default_rng(k), [])
        assert asked.genome == space.from_box(asked.point)
        plan = space.plan(asked.genome)
        told = Result(k, asked.genome, (float(plan.nfe),), point=asked.point)
        algorithm.tell([told], [])
    assert min(m.key[1] for m in algorithm._members if m is not None) <= 2.0


@pytest.mark.parametrize(
    ("objectives", "settings", "message"),
    [
        (2, {}, "de searches one objective and the experiment has 2; name one"),
        (1, {"population": 3}, "algorithm.population: 3 is too small; use at least 4"),
        (1, {"weight": 0.0}, "algorithm.weight: 0 is out of range; use above 0, to 2"),
        (1, {"crossover": -1.0}, "algorithm.crossover: -1 is no share; use 0 to 1"),
    ],
)
def test_impossible_settings_are_refused(objectives, settings, message):
    with pytest.raises(UserError, match=message):
        DifferentialEvolution(Box(), objectives=objectives, **settings)  # type: ignore[arg-type]
