"""Barriers between generations."""

from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.autodiffusion import AutoDiffusion
from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.algorithms.ecad import ECAD
from autosearch.algorithms.generations import Generations
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.algorithms.nsga3 import NSGA3
from autosearch.algorithms.smsemoa import SMSEMOA

SMALL: dict[type[Algorithm], dict[str, Any]] = {
    NSGA2: {"population": 8, "generational": True},
    SMSEMOA: {"population": 8, "generational": True},
    NSGA3: {"population": 8, "generational": True},
    ECAD: {"population": 8},
    AutoDiffusion: {
        "population": 8,
        "mutants": 4,
        "crossovers": 2,
        "parents": 4,
        "timesteps_only_generations": 2,
    },
}


def score(genome: dict[str, Any]) -> tuple[float, float]:
    times = np.array([step["time"] for step in genome["steps"]])
    return float(np.std(np.diff(times, append=0.0))), float(len(times))


def searched(algorithm: Algorithm, count: int, *, lag: int) -> list[tuple[dict[str, Any], int]]:
    """Proposals of the fixed order, each with how many were told before it."""
    asked: list[tuple[dict[str, Any], int]] = []
    told = 0

    def tell_until(end: int) -> None:
        nonlocal told
        while told < end:
            told += 1
            pending = [Proposal(genome) for genome, _ in asked[told:]]
            genome = asked[told - 1][0]
            values = None if told % 7 == 3 else score(genome)
            algorithm.tell([Result(told - 1, genome, values)], pending)

    while len(asked) < count:
        tell_until(len(asked) - lag + 1)
        pending = [Proposal(genome) for genome, _ in asked[told:]]
        found = algorithm.ask(np.random.default_rng([5, len(asked)]), pending)
        if found is not None:
            asked.append((found, told))  # type: ignore[arg-type]
        elif told == len(asked):
            break
        else:
            tell_until(len(asked))
    return asked


@pytest.mark.parametrize("sizes", [(3,), (1, 4), (2, 3, 5)])
@pytest.mark.parametrize("lag", [1, 2, 4, 100])
def test_places_count_up_and_wait_for_the_whole_generation(sizes, lag):
    clock = Generations(*sizes)
    expected = [
        (number, place)
        for number in range(6)
        for place in range(sizes[min(number, len(sizes) - 1)])
    ]
    seen: list[tuple[int, int]] = []
    pending: list[int] = []
    while len(seen) < len(expected):
        place = clock.place(pending)
        if place is not None:
            seen.append((clock.number, place))
            pending.append(len(seen))
        if place is None or len(pending) == lag:
            del pending[0]
            clock.tell(pending)
    assert seen == expected


def test_more_baselines_than_places_are_waited_for_once():
    clock = Generations(3)
    assert clock.place(range(5)) is None
    assert [clock.tell(range(left)) for left in (4, 3, 2, 1, 0)] == [False] * 4 + [True]
    assert (clock.number, clock.place([])) == (1, 0)


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.name)
def test_generations_do_not_depend_on_the_lag(kind, space):
    runs = [searched(kind(space, objectives=2, **SMALL[kind]), 45, lag=lag) for lag in (1, 5, 16)]
    genomes = [[genome for genome, _ in run] for run in runs]
    assert len(genomes[0]) == 45
    assert genomes[0] == genomes[1] == genomes[2]
    # With room for all of a generation in flight, nothing of it is told before its last ask.
    assert {told for _, told in runs[2]} <= {0, 1, *range(8, 48, 8)}


@pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.name)
def test_a_rebuilt_state_goes_on_as_the_live_one(kind, space, monkeypatch):
    live, again = (kind(space, objectives=2, **SMALL[kind]) for _ in range(2))
    tells = []
    tell = live.tell
    monkeypatch.setattr(live, "tell", lambda *call: (tells.append(call), tell(*call)))
    searched(live, 30, lag=4)
    for call in tells:
        again.tell(*call)
    pending = tells[-1][1]
    for k in range(5):
        first, second, third = (
            algorithm.ask(np.random.default_rng(k), pending) for algorithm in (live, again, live)
        )
        assert first is not None
        assert first == second == third


def test_parents_are_those_of_the_last_generation(space):
    """What is told in the middle of a generation does not show before its end."""
    algorithm = NSGA2(space, objectives=2, population=8, generational=True)
    searched(algorithm, 8, lag=1)
    genome = space.sample(np.random.default_rng(0))
    algorithm.tell([Result(7, genome, (1.0, 1.0))], [])
    before = algorithm.survivors.tolist()
    assert len(before) == 7  # one of eight is infeasible
    for k in range(8, 15):
        algorithm.tell([Result(k, genome, (-1.0, -1.0))], [])
        assert algorithm.survivors.tolist() == before
    algorithm.tell([Result(15, genome, (-1.0, -1.0))], [])
    assert algorithm.survivors.tolist().count([-1.0, -1.0]) == 8
