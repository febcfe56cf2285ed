"""What NSGA-II, SMS-EMOA, NSGA-III and ECAD share, and what sets them apart."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from pymoo.indicators.hv import HV

from autosearch.algorithms.base import Algorithm, Result
from autosearch.algorithms.ecad import ECAD
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.algorithms.nsga3 import NSGA3, directions, fitting_partitions
from autosearch.algorithms.smsemoa import SMSEMOA
from autosearch.errors import UserError

KINDS = (NSGA2, SMSEMOA, NSGA3, ECAD)


class Counted:
    """A space of numbers that says which operator made a genome."""

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        return {"by": "sample", "x": float(rng.random())}

    def mutate(self, genome: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return {"by": genome["by"] + "+mutate" if genome["by"] == "cross" else "mutate", "x": 0.0}

    def crossover(self, a: dict[str, Any], b: dict[str, Any], rng: np.random.Generator) -> Any:
        return {"by": "cross", "x": a["x"], "parents": (a["x"], b["x"])}


def made(kind: type[Algorithm], **settings: Any) -> Any:
    return kind(Counted(), objectives=2, **{"initial": 2, **settings})  # type: ignore[arg-type]


def told(algorithm: Any, values: list[tuple[float, ...]]) -> None:
    for k, value in enumerate(values):
        algorithm.tell([Result(k, {"by": "told", "x": float(k)}, value)], [])


def operators(algorithm: Any, count: int = 3000) -> dict[str, float]:
    """The share of proposals that each operator made."""
    found = Counter(algorithm.ask(np.random.default_rng([1, k]), [])["by"] for k in range(count))
    return {name: number / count for name, number in found.items()}


FRONT = [(k / 9, 1 - k / 9) for k in range(10)]


def test_shares_of_operators_are_those_asked_for():
    algorithm = made(NSGA2, fresh=0.2, crossover=0.5, mutation=0.25)
    told(algorithm, FRONT)
    expected = {"sample": 0.2, "mutate": 0.4, "cross": 0.3, "cross+mutate": 0.1}
    assert operators(algorithm) == pytest.approx(expected, abs=0.03)


def test_ecad_mutates_one_child_in_twenty_recombined_or_not():
    algorithm = made(ECAD, population=10)
    told(algorithm, FRONT)
    shares = operators(algorithm)
    # Mere copies are drawn again: 0.9 + 0.1 * 0.05 remain.
    left = 0.905
    assert shares["cross"] == pytest.approx(0.9 * 0.95 / left, abs=0.02)
    assert shares["cross+mutate"] == pytest.approx(0.9 * 0.05 / left, abs=0.02)
    assert shares["mutate"] == pytest.approx(0.1 * 0.05 / left, abs=0.01)
    assert "sample" not in shares


@pytest.mark.parametrize("mate", ["near", "tournament"])
def test_mates_are_two_and_near_ones_when_asked(mate):
    algorithm = made(NSGA2, fresh=0, crossover=1, mutation=0, tournament=1, mate=mate)
    told(algorithm, FRONT)
    pairs = [algorithm.ask(np.random.default_rng(k), [])["parents"] for k in range(600)]
    apart = np.array([abs(a - b) for a, b in pairs])
    assert (apart > 0).all()
    # Two of ten at random are 11 / 3 apart; the nearest of four others about a third of that.
    assert apart.mean() == pytest.approx(11 / 3 if mate == "tournament" else 1.7, abs=0.35)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_breeding_begins_with_enough_survivors(kind):
    algorithm = made(kind, population=8, fresh=0, initial=6, generational=False)
    for k in range(12):
        shares = operators(algorithm, 20)
        assert (shares.get("sample") == 1.0) == (k < 6)
        algorithm.tell([Result(k, {"by": "told", "x": 0.0}, (float(k), -float(k)))], [])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("objectives", [2, 3])
def test_dominated_results_go_first(kind, objectives):
    algorithm: Any = kind(
        Counted(),  # type: ignore[arg-type]
        objectives=objectives,
        population=12,
        generational=False,
    )
    draws = np.random.default_rng(3)
    good = draws.dirichlet(np.ones(objectives), size=6)
    values = np.concatenate([good, good + 1 + draws.random(good.shape), good + 3])
    for k in draws.permutation(len(values)).tolist():
        algorithm.tell([Result(k, {"by": "told"}, tuple(values[k].tolist()))], [])
    kept = {tuple(row) for row in algorithm.survivors.tolist()}
    assert len(kept) == 12
    assert {tuple(row) for row in good.tolist()} <= kept
    assert not kept & {tuple(row) for row in values[12:].tolist()}


def test_smsemoa_drops_the_least_contribution():
    """Against the definition: the loss of hypervolume, scaled to the population's range."""
    draws = np.random.default_rng(0)
    algorithm = made(SMSEMOA, population=6)
    angles = np.sort(draws.random(7)) * np.pi / 2
    values = np.stack([1 - np.cos(angles), 1 - np.sin(angles)], axis=1)
    order = draws.permutation(7)
    told(algorithm, [tuple(values[i]) for i in order[:6]])
    before = values[order[:6]]
    algorithm.tell([Result(9, {"by": "told"}, tuple(values[order[6]].tolist()))], [])
    low, high = before.min(axis=0), before.max(axis=0)
    scaled = (values - low) / (high - low)
    volume = HV(ref_point=np.full(2, 11.0))
    losses = [volume(scaled) - volume(np.delete(scaled, i, axis=0)) for i in range(7)]
    gone = {tuple(row) for row in values.tolist()} - {
        tuple(row) for row in algorithm.survivors.tolist()
    }
    assert gone == {tuple(values[int(np.argmin(losses))].tolist())}


def test_nsga3_keeps_a_result_for_each_direction():
    algorithm: Any = NSGA3(Counted(), objectives=3, partitions=2)  # type: ignore[arg-type]
    assert algorithm.population == 6
    draws = np.random.default_rng(0)
    for k in range(200):
        place = draws.dirichlet(np.ones(3))
        algorithm.tell([Result(k, {"by": "told"}, tuple(place.tolist()))], [])
    rays = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], float)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    points = algorithm.survivors
    cosines = points @ rays.T / np.linalg.norm(points, axis=1, keepdims=True)
    assert sorted(cosines.argmax(axis=1).tolist()) == list(range(6))
    assert (cosines.max(axis=1) > 0.95).all()


@pytest.mark.parametrize(
    ("objectives", "population", "partitions"),
    [(2, None, 23), (2, 50, 49), (3, None, 6), (3, 91, 12), (3, 90, 11), (5, None, 3), (6, 4, 1)],
)
def test_directions_fill_the_population(objectives, population, partitions):
    assert fitting_partitions(objectives, population) == max(partitions, 1)
    count = directions(objectives, partitions)
    assert count >= 24 if population is None else count <= max(population, objectives)


@pytest.mark.parametrize(("favoured", "share"), [(True, 1.0), (False, 0.0)])
def test_the_ends_of_a_front_win_as_parents_only_when_favoured(favoured, share):
    algorithm = made(
        NSGA2, fresh=0, crossover=1, mutation=0, tournament=40, favour_ends=favoured, mate="near"
    )
    told(algorithm, FRONT)
    parents = [algorithm.ask(np.random.default_rng(k), [])["parents"][0] for k in range(50)]
    assert np.mean([parent in (0.0, 9.0) for parent in parents]) == share


@pytest.mark.parametrize(
    ("kind", "objectives", "settings", "message"),
    [
        (SMSEMOA, 1, {}, "smsemoa trades objectives off and the experiment has 1; add one, or use"),
        (NSGA3, 1, {}, "nsga3 trades objectives off"),
        (NSGA3, 3, {"population": 10, "partitions": 4}, "below the 15 reference directions"),
        (NSGA3, 3, {"partitions": 0}, "algorithm.partitions: 0 is too small; use at least 1"),
        (ECAD, 2, {"mutation": 2.0}, "algorithm.mutation: 2 is no share; use 0 to 1"),
        (NSGA2, 2, {"tournament": 0}, "algorithm.tournament: 0 is too small; use at least 1"),
        (SMSEMOA, 2, {"initial": -1}, "algorithm.initial: -1 is too small; use at least 0"),
    ],
)
def test_impossible_settings_are_refused(kind, objectives, settings, message):
    with pytest.raises(UserError, match=message):
        kind(Counted(), objectives=objectives, **settings)
