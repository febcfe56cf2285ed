"""What every algorithm owes; a new one gets these tests by being in the list."""

import gc
import json
import math

import numpy as np
import pytest

from autosearch.algorithms import BUILTIN, Algorithm, Result
from autosearch.spaces import Genome, Space

Pairs = list[tuple[Genome, tuple[float, ...] | None]]


def rng(k: int) -> np.random.Generator:
    return np.random.default_rng([11, k])


def made(kind: type[Algorithm], space: Space, objectives: int = 2) -> Algorithm:
    return kind(space, objectives=objectives)


def score(space: Space, genome: Genome) -> tuple[float, float]:
    """Steps, and how uneven they are: both cheap, neither constant."""
    times = np.array([step["time"] for step in genome["steps"]])
    uneven = float(np.std(np.diff(times, append=0.0)))
    return float(len(times)), uneven


def searched(algorithm: Algorithm, space: Space, count: int) -> Pairs:
    """Ask and tell in turn; every seventh candidate is infeasible."""
    history: Pairs = []
    for k in range(count):
        genome = algorithm.ask(rng(k), [])
        assert genome is not None
        values = None if k % 7 == 3 else score(space, genome)
        history.append((genome, values))
        algorithm.tell([Result(k, genome, values)], [])
    return history


@pytest.mark.parametrize("kind", BUILTIN, ids=lambda kind: kind.name)
class TestContract:
    def test_it_says_what_it_is(self, kind, space):
        assert kind.name.isidentifier()
        assert kind.summary
        assert "\n" not in kind.summary

    def test_equal_seeds_give_equal_proposals(self, kind, space):
        runs = [searched(made(kind, space), space, 40) for _ in range(2)]
        assert json.dumps(runs[0]) == json.dumps(runs[1])
        other = [made(kind, space).ask(np.random.default_rng(k), []) for k in range(5)]
        assert other != [genome for genome, _ in runs[0][:5]]

    def test_asking_changes_nothing(self, kind, space):
        algorithm, untouched = made(kind, space), made(kind, space)
        for k, (genome, values) in enumerate(searched(made(kind, space), space, 30)):
            for other in (algorithm, untouched):
                other.tell([Result(k, genome, values)], [])
            for again in range(3):
                algorithm.ask(rng(1000 + again), [])
            first, second = (algorithm.ask(rng(k), []) for _ in range(2))
            assert first == second == untouched.ask(rng(k), [])

    def test_the_state_is_a_function_of_what_was_told(self, kind, space):
        """Rebuilt from the list equals live, and proposals that were never told leave no trace."""
        live = made(kind, space)
        history = searched(live, space, 60)
        rebuilt = made(kind, space)
        for k, (genome, values) in enumerate(history):
            rebuilt.tell([Result(k, json.loads(json.dumps(genome)), values)], [])
        asks = [(live.ask(rng(k), []), rebuilt.ask(rng(k), [])) for k in range(200, 240)]
        assert all(a == b for a, b in asks)

    def test_proposals_compile_and_belong_to_the_asker(self, kind, space):
        algorithm = made(kind, space)
        searched(algorithm, space, 40)
        for k in range(20):
            genome = algorithm.ask(rng(k), [])
            assert space.repair(genome) == genome
            assert space.plan(genome).nfe == len(genome["steps"])
            before = algorithm.ask(rng(k), [])
            genome["steps"].clear()
            assert algorithm.ask(rng(k), []) == before

    def test_odd_results_are_harmless(self, kind, space):
        algorithm = made(kind, space)
        genomes = [algorithm.ask(rng(k), []) for k in range(12)]
        assert algorithm.ask(rng(0), genomes) is not None  # all of them pending
        algorithm.tell([], [])
        # All infeasible, without a genome, out of order, late, two alike, one never told at all.
        algorithm.tell([Result(k, genomes[k], None) for k in (3, 1)], genomes)
        algorithm.tell([Result(5, None, (1.0, 2.0))], genomes)
        assert algorithm.ask(rng(20), genomes) is not None
        algorithm.tell([Result(9, genomes[9], (1.0, 2.0)), Result(0, genomes[0], (1.0, 2.0))], [])
        algorithm.tell([Result(2, genomes[2], (1e300, -1e300))], [])
        for k in range(30):
            assert algorithm.ask(rng(k), genomes[:3]) is not None

    @pytest.mark.parametrize("objectives", [1, 2, 3])
    def test_any_number_of_objectives(self, kind, space, objectives):
        algorithm = made(kind, space, objectives)
        draws = np.random.default_rng(0)
        for k in range(60):
            genome = algorithm.ask(rng(k), [])
            values = tuple(draws.integers(0, 4, size=objectives).astype(float).tolist())
            algorithm.tell([Result(k, genome, values)], [])
        assert space.plan(algorithm.ask(rng(99), [])) is not None

    def test_memory_stays_bounded(self, kind, space):
        """What is kept after many results does not grow: nor does the time for one."""
        algorithm = made(kind, space)
        genomes = [space.sample(rng(k)) for k in range(20)]
        sizes = []
        for k in range(1200):
            # Ever better along a front that is longer than any population.
            place = (k * 0.618) % 1.0
            values = (place - k * 1e-6, math.cos(place * math.pi / 2) - k * 1e-6)
            algorithm.tell([Result(k, genomes[k % len(genomes)], values)], [])
            if k in (200, 1199):
                sizes.append(reachable(algorithm))
        assert sizes[1] <= sizes[0] * 1.1 + 10


def reachable(algorithm: Algorithm) -> int:
    """How many containers hang on an algorithm, apart from its space."""
    seen = {id(algorithm.space)}
    todo: list[object] = [vars(algorithm)]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray) and value.dtype == object:  # which the collector skips
            todo += value.ravel().tolist()
        todo += [inner for inner in gc.get_referents(value) if gc.is_tracked(inner)]
    return len(seen)
