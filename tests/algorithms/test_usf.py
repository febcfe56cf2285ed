"""USF's buckets."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.base import Result
from autosearch.algorithms.usf import USF
from autosearch.errors import UserError


class Fake:
    """Genomes of 2 to 4 steps that remember where they come from."""

    families = (type("Steps", (), {"steps": (2, 4)})(), type("Other", (), {"steps": None})())

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        return {"steps": [0.0] * int(rng.integers(2, 5)), "by": "sample"}

    def mutate(self, genome: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
        return {**genome, "by": genome["by"] + "+mutate"}

    def crossover(self, a: dict[str, Any], b: dict[str, Any], rng: np.random.Generator) -> Any:
        return {"steps": a["steps"], "by": "cross", "parents": (a["id"], b["id"])}

    def plan(self, genome: dict[str, Any]) -> Any:
        return type("Plan", (), {"nfe": len(genome["steps"])})()


def made(**settings: Any) -> USF:
    return USF(Fake(), objectives=2, **settings)  # type: ignore[arg-type]


def told(algorithm: USF, counts: list[int], each: int) -> None:
    """So many results for each count, of which the first are the best."""
    for count in counts:
        for k in range(each):
            number = 100 * count + k
            genome = {"steps": [0.0] * count, "by": "told", "id": number}
            algorithm.tell([Result(number, genome, (float(k), -float(k)))], [])


def proposals(algorithm: USF, count: int = 2000) -> list[dict[str, Any]]:
    found = [algorithm.ask(np.random.default_rng([4, k]), []) for k in range(count)]
    return [genome for genome in found if genome is not None]


def test_empty_buckets_are_filled_with_random_genomes_of_their_count():
    found = proposals(made(), 600)
    assert {genome["by"] for genome in found} == {"sample"}
    shares = Counter(len(genome["steps"]) for genome in found)
    assert set(shares) == {2, 3, 4}
    assert min(shares.values()) > 160


def test_every_bucket_gets_an_equal_share_and_its_best_are_parents():
    algorithm = made(rank_bar=5, crossover=0.0)
    told(algorithm, [2, 3, 4, 7], 20)
    found = proposals(algorithm)
    assert {genome["by"] for genome in found} == {"told+mutate"}
    shares = Counter(genome["id"] for genome in found)
    # Counts that the space does not name are buckets as soon as they were told.
    assert set(shares) == {100 * count + k for count in (2, 3, 4, 7) for k in range(5)}
    assert min(shares.values()) > 0.6 * 2000 / 20


def test_recombined_parents_are_two_of_one_bucket_and_mutated_after():
    algorithm = made(crossover=0.3)
    told(algorithm, [2, 3, 4], 15)
    found = proposals(algorithm)
    crossed = [genome for genome in found if genome["by"] == "cross+mutate"]
    assert len(crossed) / len(found) == pytest.approx(0.3, abs=0.03)
    for genome in crossed:
        one, two = genome["parents"]
        assert one != two
        assert one // 100 == two // 100 == len(genome["steps"])


def test_a_thin_bucket_is_filled_first():
    algorithm = made()
    told(algorithm, [2, 4], 15)
    told(algorithm, [3], 1)
    algorithm.tell([Result(999, {"steps": [0.0] * 3, "by": "failed"}, None)], [])
    for genome in proposals(algorithm, 300):
        assert (genome["by"] == "sample") == (len(genome["steps"]) == 3)


def test_on_a_real_space_all_counts_improve(space):
    algorithm = USF(space, objectives=2)
    best: dict[int, list[float]] = {}
    for k in range(500):
        genome = algorithm.ask(np.random.default_rng([1, k]), [])
        assert genome is not None
        times = np.array([step["time"] for step in genome["steps"]])
        uneven = float(np.std(np.diff(times, append=0.0)))
        best.setdefault(len(times), []).append(uneven)
        algorithm.tell([Result(k, genome, (uneven, float(len(times))))], [])
    assert set(best) == set(range(2, 11))
    firsts = [min(values[:5]) for values in best.values()]
    lasts = [min(values) for values in best.values()]
    assert np.mean(lasts) < 0.5 * np.mean(firsts)


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match=r"algorithm.rank_bar: 1 is too small; use at least 2"):
        made(rank_bar=1)
    with pytest.raises(UserError, match=r"algorithm.crossover: 3 is no share; use 0 to 1"):
        made(crossover=3.0)
