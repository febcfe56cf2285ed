"""Greedy forward selection, on a small space of sets."""

from collections.abc import Hashable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.base import Proposal, Result
from autosearch.algorithms.greedy import ElementSets, Greedy
from autosearch.errors import UserError

# What each head is worth alone; "b" and "c" spoil each other.
WORTH = {"a": 5.0, "b": 4.0, "c": 3.5, "d": 1.0, "e": -1.0, "f": 0.5}


class Heads:
    """Subsets of six letters; ``x`` is the same plan as nothing."""

    def elements(self) -> Sequence[Hashable]:
        return list(WORTH)

    def with_elements(self, chosen: frozenset[Hashable]) -> dict[str, Any]:
        return {"heads": sorted(str(element) for element in chosen)}

    def plan(self, genome: dict[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(identity=",".join(genome["heads"]))


def loss(genome: dict[str, Any]) -> float:
    heads = genome["heads"]
    return -sum(WORTH[head] for head in heads) + (10.0 if {"b", "c"} <= set(heads) else 0.0)


def made(**settings: Any) -> Greedy:
    return Greedy(Heads(), objectives=2, **settings)  # type: ignore[arg-type]


def searched(
    algorithm: Greedy, *, lag: int = 1, failing: Sequence[str] = (), first: Sequence[str] = ()
) -> list[str]:
    """All that is tried until it ends, as the engine's fixed order does; each plan once."""
    asked = [{"heads": list(name)} for name in first]
    told = 0

    def tell_until(end: int) -> None:
        nonlocal told
        while told < end:
            genome = asked[told]
            told += 1
            values = None if "".join(genome["heads"]) in failing else (loss(genome), 0.0)
            pending = [Proposal(other) for other in asked[told:]]
            algorithm.tell([Result(told - 1, genome, values)], pending)

    while True:
        tell_until(len(asked) - lag + 1)
        pending = [Proposal(genome) for genome in asked[told:]]
        found = algorithm.ask(np.random.default_rng(len(asked)), pending)
        if found is not None:
            assert found not in asked
            asked.append(found)
        elif told == len(asked):
            return ["".join(genome["heads"]) for genome in asked]
        else:
            tell_until(len(asked))


@pytest.mark.parametrize("lag", [1, 3, 50])
def test_each_round_tries_every_element_and_keeps_the_best(lag):
    tried = searched(made(top_k=1, iterations=3), lag=lag)
    rounds = [["", *"abcdef"], ["ab", "ac", "ad", "ae", "af"], ["abc", "abd", "abe", "abf"]]
    assert tried == [name for names in rounds for name in names]


def test_several_are_added_at_once_and_the_set_is_tried_after_each_round():
    algorithm = made(top_k=2, iterations=2)
    tried = searched(algorithm, lag=4)
    # The pair of the first round was tried in it neither alone nor together.
    assert tried == ["", *"abcdef", "ab", "abc", "abd", "abe", "abf", "abdf"]
    assert algorithm._chosen == frozenset("abdf")


def test_the_published_round_is_three_heads_five_times():
    algorithm = made()
    assert (algorithm.top_k, algorithm.iterations) == (3, 5)
    tried = searched(algorithm)
    assert tried[-1] == "abcdef"
    assert len(tried) == (1 + 6) + (1 + 3) + 1


def test_failures_and_what_is_not_permitted_are_not_added():
    algorithm = made(top_k=1, iterations=2)
    algorithm.permits = lambda genome: "b" not in genome["heads"]
    tried = searched(algorithm, failing=["a"])
    assert tried == ["", *"acdef", "ac", "cd", "ce", "cf"]
    assert algorithm._chosen == frozenset("ac")


def test_what_the_study_knows_already_is_not_tried_again():
    """Baselines may be a round's trials, or a whole round of them."""
    known = ["", *"abcdef", "ab"]
    tried = searched(made(top_k=1, iterations=2), first=known, lag=20)
    assert tried == [*known, "ac", "ad", "ae", "af"]


def test_it_begins_with_a_given_set():
    tried = searched(made(top_k=1, iterations=1, start=["c", "f"]))
    assert tried == ["cf", "acf", "bcf", "cdf", "cef"]


def test_a_round_in_which_all_failed_ends_the_search():
    tried = searched(made(top_k=1), failing=list("abcdef"))
    assert tried == ["", *"abcdef"]


def test_asking_changes_nothing_and_a_rebuilt_state_goes_on():
    live, again = made(top_k=1), made(top_k=1)
    for k, name in enumerate(["", *"abcdef", "ab", "ac"]):
        for algorithm in (live, again):
            algorithm.tell([Result(k, {"heads": list(name)}, (loss({"heads": name}),))], [])
        live.ask(np.random.default_rng(0), [])
    pending = [Proposal({"heads": ["a", "d"]})]
    asks = [a.ask(np.random.default_rng(1), pending) for a in (live, again, live)]
    assert asks == [{"heads": ["a", "e"]}] * 3


def test_spaces_and_settings_that_do_not_fit_are_refused(space):
    assert isinstance(Heads(), ElementSets)
    with pytest.raises(UserError, match="the space has none; use nsga2"):
        Greedy(space, objectives=1)
    with pytest.raises(UserError, match=r"algorithm.start: unknown element 'q'"):
        made(start=["q"])
    with pytest.raises(UserError, match=r"algorithm.top_k: 0 is too small; use at least 1"):
        made(top_k=0)
