"""CMA-ES on a box of numbers."""

import numpy as np
import pytest

from autosearch.algorithms import CMAES, Proposal, Result
from autosearch.errors import UserError
from autosearch.spaces import Parameter

FLOATS = [Parameter(f"u{i}", "float", -2.0, 3.0) for i in range(5)]
ONE = Parameter("c", "choice", choices=("only",))


def sphere(point) -> float:
    return sum((value - 1.2) ** 2 for name, value in point.items() if name.startswith("u"))


def generation(algorithm, seed: int, score, told: int = 0) -> list[Result]:
    """Ask until it waits, then tell all of it, the last first."""
    flying: list[Proposal] = []
    while True:
        rng = np.random.default_rng([seed, told, len(flying)])
        proposal = algorithm.ask(rng, flying)
        if proposal is None:
            break
        flying.append(proposal)
    results = []
    for i in reversed(range(len(flying))):
        point = flying[i].point
        results.append(Result(told + i, flying[i].genome, (score(point),), point=point))
        algorithm.tell([results[-1]], flying[:i])
    return results


def test_it_finds_the_minimum_of_a_sphere(box_of):
    algorithm = CMAES(box_of(FLOATS), objectives=1)
    best = []
    for g in range(40):
        best.append(min(r.values[0] for r in generation(algorithm, 1, sphere, 8 * g)))
    assert best[0] > 0.3
    assert min(best) < 1e-3


def test_a_generation_waits_for_all_of_it(box_of):
    algorithm = CMAES(box_of(FLOATS), objectives=1, population=6)
    flying = []
    for k in range(6):
        proposal = algorithm.ask(np.random.default_rng(k), flying)
        # A pending baseline has no point and takes no place.
        assert algorithm.ask(np.random.default_rng(k), [*flying, Proposal({})]) == proposal
        flying.append(proposal)
    assert algorithm.ask(np.random.default_rng(9), flying) is None
    for k in range(5):
        result = Result(k, flying[k].genome, (float(k),), point=flying[k].point)
        algorithm.tell([result], flying[k + 1 :])
        assert algorithm.ask(np.random.default_rng(9), flying[k + 1 :]) is None
    # The last one never comes: another takes its place.
    assert algorithm.ask(np.random.default_rng(9), []) is not None
    algorithm.tell([Result(5, flying[5].genome, None, point=flying[5].point)], [])
    assert algorithm.ask(np.random.default_rng(9), []) is not None


def test_the_order_within_a_generation_is_that_of_the_values(box_of):
    """Broken constraints rank behind all that keep them; what failed comes last."""
    point = dict.fromkeys((p.name for p in FLOATS), 0.0)

    def told(algorithm, values, violation) -> None:
        algorithm.tell(
            [Result(0, {}, values, point=point, measured=(0.0,), violations=(violation,))], []
        )

    algorithm = CMAES(box_of(FLOATS), objectives=1, population=6)
    told(algorithm, (1e9,), -1.0)
    told(algorithm, None, 3.0)
    told(algorithm, None, 0.5)
    algorithm.tell([Result(3, {}, None, point=point)], [])
    told(algorithm, (-4.0,), 0.0)
    orders = [order for _, order in algorithm._told]
    assert np.argsort([sorted(orders).index(order) for order in orders]).tolist() == [4, 0, 2, 1, 3]


def test_whole_numbers_are_found_and_never_freeze(box_of):
    box = [*FLOATS[:2], Parameter("n", "int", 1, 12), ONE, Parameter("m", "int", 4, 4)]
    space = box_of(box)
    algorithm = CMAES(space, objectives=1)

    def score(point) -> float:
        assert point["c"] == "only"
        assert point["m"] == 4
        return sphere(point) + (point["n"] - 9) ** 2

    results = [r for g in range(30) for r in generation(algorithm, 2, score, 7 * g)]
    assert min(r.values[0] for r in results) < 0.02
    assert min(results, key=lambda r: r.values).point["n"] == 9
    last = {r.point["n"] for r in results[-40:]}
    assert len(last) > 1
    assert all(type(r.point["n"]) is int and 1 <= r.point["n"] <= 12 for r in results)


def test_points_stay_inside_the_box(box_of):
    """Also when the best lies outside."""
    algorithm = CMAES(box_of(FLOATS), objectives=1, width=0.8)
    results = [
        r for g in range(12) for r in generation(algorithm, 3, lambda p: sum(p.values()), 8 * g)
    ]
    values = np.array([list(r.point.values()) for r in results])
    assert values.min() >= -2.0
    assert values.max() <= 3.0
    assert min(r.values[0] for r in results) < -6


def test_converged_it_begins_elsewhere_with_twice_the_population(box_of):
    algorithm = CMAES(box_of(FLOATS[:2]), objectives=1, population=6)
    for g in range(200):
        generation(algorithm, 4, sphere, 6 * g)
        if algorithm._size > 6:
            break
    assert algorithm._size == 12
    assert len(generation(algorithm, 4, sphere)) == 12


def test_numpys_common_generator_is_left_alone(box_of):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    algorithm = CMAES(box_of(FLOATS), objectives=1)
    for g in range(3):
        generation(algorithm, 5, sphere, 8 * g)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@pytest.mark.parametrize(
    ("box", "keys", "message"),
    [
        (FLOATS, {"objectives": 2}, "cmaes searches one objective"),
        ([*FLOATS, Parameter("c", "choice", choices=("p", "q"))], {}, "c of .* is a choice; leave"),
        ([ONE], {}, "nothing to vary"),
        (FLOATS, {"population": 3}, "population: 3 is too small"),
        (FLOATS, {"width": 0.0}, "width: 0 is no share"),
    ],
)
def test_what_it_cannot_do_is_refused_in_one_line(box_of, box, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        CMAES(box_of(box), **{"objectives": 1, **keys})
    assert "\n" not in str(caught.value)
