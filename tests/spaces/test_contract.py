"""Every family of a space inherits the tests that anybody's can."""

import functools
import sys
from typing import Any

from autosearch.spaces import (
    BUILTIN,
    Cache,
    CacheInterval,
    Correction,
    FewStepSchedule,
    Forecast,
    GateChoice,
    GuidanceChoice,
    GuidanceScales,
    HeadSets,
    NamedRecipes,
    Prune,
    SolverChoice,
    Timesteps,
)
from autosearch.testing import SpaceContract

FLOW = {"name": "mixture", "dimension": 2, "family": "flow", "schedule": "rectified"}
LEVELS = {"name": "mixture", "dimension": 2, "family": "edm", "schedule": "edm"}
DIGITS = {"name": "digits"}
SOLVER: dict[str, Any] = {"solver": {}}


class TestTimesteps(SpaceContract):
    make = Timesteps


class TestTimestepsOfFlows(SpaceContract):
    make = Timesteps
    model = FLOW


class TestTimestepsOfLevels(SpaceContract):
    make = Timesteps
    model = LEVELS


class TestSolver(SpaceContract):
    make = SolverChoice


class TestFewStep(SpaceContract):
    make = FewStepSchedule
    beside = SOLVER
    # Numbers that no recipe shows.
    reads = False
    distinct = 0.6


class TestCorrection(SpaceContract):
    make = Correction


class TestNamed(SpaceContract):
    make = functools.partial(NamedRecipes, recipes=["dpmpp_2m-quadratic@5", "ddim@3", "unipc@8"])
    distinct = 0.0
    genomes = 10


class _OfDigits(SpaceContract):
    """Families for networks, which the exact mixture is not."""

    model = DIGITS
    genomes = 20


class TestGuidance(_OfDigits):
    make = GuidanceChoice


class TestGuidanceScales(_OfDigits):
    make = GuidanceScales


class TestHeads(_OfDigits):
    make = functools.partial(HeadSets, scale=[0.2, 2], first=[0, 1], last=[0, 1], most=9)


class TestCache(_OfDigits):
    make = Cache


class TestCacheOfBlocks(_OfDigits):
    make = functools.partial(Cache, sites="blocks", actions=["reuse", "skip", "forecast:1"])


class TestCacheByWholes(_OfDigits):
    make = functools.partial(Cache, whole=1.0, share=[0.1, 0.9])


class TestCacheOfRanges(_OfDigits):
    make = functools.partial(
        Cache,
        sites=["block.0..block.3", "block.4..block.7", "block.5"],
        actions=["reuse", "output:1"],
    )


class TestForecast(_OfDigits):
    make = Forecast


class TestForecastOfBlocks(_OfDigits):
    make = functools.partial(Forecast, sites="blocks", orders=[0, 2])


class TestCacheInterval(_OfDigits):
    make = CacheInterval


class TestGate(_OfDigits):
    make = GateChoice


class TestGateWithout(_OfDigits):
    make = functools.partial(GateChoice, without=0.5, measures=["change"])
    distinct = 0.4


class TestPrune(_OfDigits):
    make = Prune


class TestPruneParts(_OfDigits):
    make = functools.partial(Prune, sites="parts", remove=[2, 6])


class TestPrunePattern(_OfDigits):
    make = functools.partial(Prune, pattern="2:4")
    distinct = 0.3


class TestPrunePartsPattern(_OfDigits):
    make = functools.partial(Prune, sites="parts", pattern="3:4")
    distinct = 0.5


class TestPruneIntervals(_OfDigits):
    make = functools.partial(Prune, intervals=2, longest=3)


def test_every_family_inherits_the_contract() -> None:
    contracts = [
        value
        for name, value in vars(sys.modules[__name__]).items()
        if name.startswith("Test") and issubclass(value, SpaceContract)
    ]
    made = {getattr(contract.make, "func", contract.make).name for contract in contracts}
    assert made == {family.name for family in BUILTIN}
