"""The contract catches what it is there for: each cheat fails the test that names it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms import Algorithm, Proposal, RandomSearch
from autosearch.algorithms.unit_box import UnitBox
from autosearch.testing import AlgorithmContract


class Remembers(RandomSearch):
    """Counts how often it was asked."""

    asked = 0

    def ask(self, rng, pending):
        self.asked += 1
        return self.space.sample(np.random.default_rng([self.asked, int(rng.integers(9))]))


class DrawsElsewhere(RandomSearch):
    """Takes its numbers from a generator that nobody seeded."""

    own = np.random.default_rng()

    def ask(self, rng, pending):
        return self.space.sample(self.own)


class Repeats(RandomSearch):
    """Proposes the same over and over."""

    def ask(self, rng, pending):
        return self.space.sample(np.random.default_rng(0))


class CountsCalls(RandomSearch):
    """What it proposes depends on how results came together."""

    calls = 0

    def ask(self, rng, pending):
        return self.space.sample(np.random.default_rng([self.calls, int(rng.integers(2**32))]))

    def tell(self, results, pending):
        self.calls += 1


class TrustsTheOrder(RandomSearch):
    """Takes the n-th result that it is told for that of candidate n."""

    told = 0

    def tell(self, results, pending):
        for result in results:
            if result.id != self.told:
                raise IndexError(result.id)
            self.told += 1


class ReadsObjects(RandomSearch):
    """Goes by which object it was told, which a resumed study does not bring back."""

    seen = 0

    def ask(self, rng, pending):
        return self.space.sample(np.random.default_rng([self.seen, int(rng.integers(2**32))]))

    def tell(self, results, pending):
        self.seen += sum(id(result.genome) for result in results)


class LeavesTheSpace(RandomSearch):
    """Proposes more steps than the space has."""

    def ask(self, rng, pending):
        genome = self.space.sample(rng)
        genome["steps"] = [{"time": float(time)} for time in range(900, 20, -50)]
        return genome


class BreaksRecipes(RandomSearch):
    """Proposes what is no recipe."""

    def ask(self, rng, pending):
        genome = self.space.sample(rng)
        genome["steps"][0]["order"] = 17
        return genome


class LiesAboutPoints(RandomSearch):
    """Says that a genome came from another point of the box."""

    def ask(self, rng, pending):
        box = UnitBox(self.space.box())
        return Proposal(self.space.sample(rng), box.point(rng.random(box.dimension)))


class SharesItsState(RandomSearch):
    """Hands out what it keeps."""

    def __init__(self, space, *, objectives):
        super().__init__(space, objectives=objectives)
        self.kept = [space.sample(np.random.default_rng(k)) for k in range(200)]

    def ask(self, rng, pending):
        return self.kept[int(rng.integers(len(self.kept)))]


class NeedsValues(RandomSearch):
    """Takes every result for a feasible one."""

    def tell(self, results, pending):
        for result in results:
            sum(result.values)


class IgnoresTheSeed(RandomSearch):
    """Proposes a fixed list."""

    told = 0

    def ask(self, rng, pending):
        return self.space.sample(np.random.default_rng(self.told))

    def tell(self, results, pending):
        self.told += len(results)


class LooksAtEverything(RandomSearch):
    """The more it was told, the longer it thinks."""

    told = 0

    def ask(self, rng, pending):
        until = time.process_time() + 2e-5 * self.told
        while time.process_time() < until:
            pass
        return self.space.sample(rng)

    def tell(self, results, pending):
        self.told += len(results)


class KeepsEverything(RandomSearch):
    """Keeps every result that it was ever told."""

    def __init__(self, space, *, objectives):
        super().__init__(space, objectives=objectives)
        self.kept = []

    def tell(self, results, pending):
        self.kept += results


class GivesUpLate(Algorithm):
    """Two objectives are too many, which it says when it is told of them."""

    name, summary = "late", "fails late"

    def ask(self, rng, pending):
        return self.space.sample(rng)

    def tell(self, results, pending):
        if self.objectives > 1:
            raise ValueError("one objective only")


CHEATS = [
    (Remembers, "test_asking_changes_nothing", "what it was asked before|answers differently"),
    (DrawsElsewhere, "test_equal_seeds_give_equal_proposals", "draws from elsewhere than rng"),
    (DrawsElsewhere, "test_asking_changes_nothing", "asked twice with equal rng"),
    (Repeats, "test_it_goes_on_finding_new_recipes", "only 1 differ"),
    (CountsCalls, "test_results_told_together_count_as_told_one_by_one", "come together"),
    (TrustsTheOrder, "test_results_in_any_order_and_lost_ones_are_harmless", None),
    (ReadsObjects, "test_rebuilt_from_its_tells_it_equals_the_live_one", "rebuilt from what"),
    (
        ReadsObjects,
        "test_a_search_that_was_interrupted_ends_like_one_that_was_not",
        "goes another way",
    ),
    (LeavesTheSpace, "test_proposals_are_valid_recipes_of_the_space", "repair changes it"),
    (BreaksRecipes, "test_proposals_are_valid_recipes_of_the_space", None),
    (LiesAboutPoints, "test_proposals_are_valid_recipes_of_the_space", "another genome"),
    (SharesItsState, "test_proposals_belong_to_whoever_asked", "changes the algorithm"),
    (NeedsValues, "test_infeasible_and_foreign_results_are_harmless", None),
    (IgnoresTheSeed, "test_equal_seeds_give_equal_proposals", "the seed makes no difference"),
    (LooksAtEverything, "test_it_stays_quick_and_small_after_many_results", "more than 0.05"),
    (KeepsEverything, "test_it_stays_quick_and_small_after_many_results", "more objects"),
    (GivesUpLate, "test_it_takes_the_objectives_that_it_says_and_refuses_others", None),
]


@pytest.mark.parametrize(
    ("cheat", "test", "message"),
    CHEATS,
    ids=[f"{kind.__name__}-{test}" for kind, test, _ in CHEATS],
)
def test_the_contract_catches(cheat, test, message):
    contract = type("Contract", (AlgorithmContract,), {"make": cheat, "results": 16})()
    # Without a message of its own the cheat fails by an exception, as pytest would show it.
    with pytest.raises(AssertionError if message else Exception, match=message):
        getattr(contract, test)()


def test_an_honest_algorithm_passes_every_test():
    class Contract(AlgorithmContract):
        make = RandomSearch
        results = 16
        many = 500

    tests = [name for name in dir(Contract) if name.startswith("test_")]
    assert len(tests) >= 12
    assert {test for _, test, _ in CHEATS} <= set(tests)
    for name in tests:
        getattr(Contract(), name)()


def test_the_documented_algorithm_keeps_the_contract():
    text = (Path(__file__).parents[2] / "docs" / "algorithms.md").read_text(encoding="utf-8")
    example = next(block for block in text.split("```python\n")[1:] if "class Mine(" in block)
    names: dict[str, Any] = {}
    exec(example.partition("```")[0], names)

    class Contract(AlgorithmContract):
        make = names["Mine"]
        results = 16
        many = 500

    for name in dir(Contract):
        if name.startswith("test_"):
            getattr(Contract(), name)()


def test_a_function_may_make_the_algorithm():
    class Contract(AlgorithmContract):
        def make(space, *, objectives):
            return RandomSearch(space, objectives=objectives)

    assert isinstance(Contract().make_algorithm(), RandomSearch)
