"""Every algorithm inherits the tests that anybody's can."""

import functools
import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms import (
    BUILTIN,
    CMAES,
    ECAD,
    GP,
    NSGA2,
    NSGA3,
    SMSEMOA,
    TPE,
    USF,
    AutoDiffusion,
    DifferentialEvolution,
    Exhaustive,
    Greedy,
    RandomSearch,
    Refine,
    Screened,
)
from autosearch.spaces import Genome, Space
from autosearch.testing import AlgorithmContract

# A box of numbers and a few choices, quick to model.
NUMBERS = {
    "timesteps": {"steps": [2, 6]},
    "solver": {
        "orders": [1, 2],
        "predictions": ["data"],
        "forms": ["taylor"],
        "correctors": ["none"],
        "evaluations": ["network"],
    },
}

FEW_STEPS = {"timesteps": {"steps": [2, 3]}}
MANY_STEPS = {"timesteps": {"steps": [1, 16]}}


class TestRandomSearch(AlgorithmContract):
    make = RandomSearch


class TestNSGA2(AlgorithmContract):
    make = NSGA2


class TestTPE(AlgorithmContract):
    make = functools.partial(TPE, startup=8)
    seconds = 0.2


class TestGP(AlgorithmContract):
    make = functools.partial(GP, startup=6)
    space = NUMBERS
    results = 8
    asks = 1
    bounded = False
    # It takes a second or two.
    seconds = 20.0

    @pytest.mark.soak
    def test_it_stays_quick_and_small_after_many_results(self) -> None:
        super().test_it_stays_quick_and_small_after_many_results()


class TestCMAES(AlgorithmContract):
    make = CMAES
    space = NUMBERS
    objectives = (1,)


class TestSMSEMOA(AlgorithmContract):
    make = SMSEMOA
    objectives = (2, 3)
    many = 2000


class TestScreened(AlgorithmContract):
    # Trusts its model blindly, so that the model is in all that is compared.
    make = functools.partial(Screened, agreement=0.0, blind=0.0, initial=4)
    objectives = (2, 3)
    many = 1000


class TestRefine(AlgorithmContract):
    make = Refine
    # Each result that it learns from is brought to even gaps, and each proposal follows a model.
    many = 1000


class TestNSGA3(AlgorithmContract):
    make = NSGA3
    objectives = (2, 3)
    many = 2000


class TestGenerationalNSGA2(AlgorithmContract):
    make = functools.partial(NSGA2, population=8, generational=True)


class TestECAD(AlgorithmContract):
    make = functools.partial(ECAD, population=8)


class TestDifferentialEvolution(AlgorithmContract):
    make = functools.partial(DifferentialEvolution, population=6)
    objectives = (1,)


class TestAutoDiffusion(AlgorithmContract):
    make = functools.partial(AutoDiffusion, population=10, parents=3, mutants=5, crossovers=2)


class TestUSF(AlgorithmContract):
    make = USF


class TestExhaustive(AlgorithmContract):
    make = Exhaustive
    space = FEW_STEPS
    seeded = False


class _SetsOfTimes:
    """A space of sets over any other: which of fifteen times are stopped at, besides the first."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._genome = space.repair({**space.sample(np.random.default_rng(0)), "steps": []})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._space, name)

    def elements(self) -> Sequence[Hashable]:
        return [60.0 * k for k in range(15)]

    def with_elements(self, chosen: frozenset[Hashable]) -> Genome:
        times = sorted((float(str(time)) for time in chosen), reverse=True)
        steps = [{"time": time} for time in (999.0, *times)]
        return self._space.repair({**self._genome, "steps": steps})


class GreedyOverTimes(Greedy):
    """Greedy on the contract's own space, whose genomes are made sets."""

    def __init__(self, space: Any, *, objectives: int) -> None:
        super().__init__(_SetsOfTimes(space), objectives=objectives)  # type: ignore[arg-type]


class TestGreedy(AlgorithmContract):
    make = GreedyOverTimes
    space = MANY_STEPS
    seeded = False


def test_every_algorithm_inherits_the_contract():
    contracts = [
        value
        for value in vars(sys.modules[__name__]).values()
        if isinstance(value, type) and issubclass(value, AlgorithmContract)
    ]
    made = {getattr(c.make, "func", c.make) for c in contracts if c is not AlgorithmContract}
    assert {kind.name for kind in made} == {kind.name for kind in BUILTIN}
