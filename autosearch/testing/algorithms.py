"""What every algorithm owes, as a class of tests to inherit."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from autosearch.algorithms.base import Algorithm, Proposal, Result
from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.testing.histories import (
    Trial,
    count_objects,
    make_problem,
    make_result,
    propose,
    rebuild,
    run_in_parallel,
    run_journaled,
    run_search,
    to_json,
)

__all__ = ["AlgorithmContract"]

_HISTORIES: dict[type, list[Trial]] = {}


class AlgorithmContract:
    """Inherit it in a test file, say what to make, and pytest runs the tests below.

    Attributes:
        make: called with a space and ``objectives=``; a class, or one with settings of its own by
            ``functools.partial``.
        space: the families that it searches, as an experiment writes them.
        objectives: how many objectives it can have; others it refuses with a UserError.
        results: how many results a history has.
        asks: how many proposals are compared, or timed, where one would say less.
        seeded: whether equal histories and unequal seeds give unequal proposals.
        many: how many results it must stay quick with.
        bounded: whether what it keeps ceases to grow by then.
        seconds: how much processor time a proposal may then take. Both are generous, and the
            time is printed.
    """

    make: ClassVar[Callable[..., Algorithm]]
    space: ClassVar[Mapping[str, Any]] = {"timesteps": {"steps": [2, 6]}, "solver": {}}
    objectives: ClassVar[Sequence[int]] = (1, 2, 3)
    results: ClassVar[int] = 40
    asks: ClassVar[int] = 5
    seeded: ClassVar[bool] = True
    many: ClassVar[int] = 10_000
    bounded: ClassVar[bool] = True
    seconds: ClassVar[float] = 0.05

    def test_it_has_a_name_and_a_summary_of_one_line(self) -> None:
        algorithm = self.make_algorithm()
        assert algorithm.name.isidentifier(), f"name {algorithm.name!r} is no identifier"
        assert algorithm.summary.strip(), "the summary is empty"
        assert "\n" not in algorithm.summary, "the summary has more than one line"

    def test_it_takes_the_objectives_that_it_says_and_refuses_others(self) -> None:
        for count in (1, 2, 3):
            if count in self.objectives:
                found = run_search(self.make_algorithm(count), self.results // 2)
                assert found, f"no proposals with {count} objectives"
                continue
            message = ""
            try:
                self.make_algorithm(count)
            except UserError as error:
                message = str(error)
            assert message, f"{count} objectives are not refused"
            assert "\n" not in message, "the refusal has more than one line"

    def test_equal_seeds_give_equal_proposals(self) -> None:
        runs = [run_search(self.make_algorithm(), self.results) for _ in range(2)]
        texts = [[to_json(entry.proposal) for entry in run] for run in runs]
        assert texts[0] == texts[1], "two equal runs differ: it draws from elsewhere than rng"
        if self.seeded:
            other = run_search(self.make_algorithm(), len(runs[0]), seed=12)
            assert [to_json(e.proposal) for e in other] != texts[0], "the seed makes no difference"

    def test_asking_changes_nothing(self) -> None:
        often, untouched = self.make_algorithm(), self.make_algorithm()
        entries = self.history()
        some = [entry.proposal for entry in entries[:3]]
        for k, entry in enumerate(entries):
            for algorithm in (often, untouched):
                algorithm.tell([entry.result], [])
            if k not in (0, len(entries) // 2, len(entries) - 1):
                continue
            for again in range(3):
                propose(often, _rng(1000, k, again), some[:again])
            answers = [to_json(propose(a, _rng(k))) for a in (often, often, untouched)]
            assert answers[0] == answers[1], "asked twice with equal rng, it answers differently"
            assert answers[0] == answers[2], "what it was asked before changes what it answers"

    def test_rebuilt_from_its_tells_it_equals_the_live_one(self) -> None:
        live = self.make_algorithm()
        history = run_search(live, self.results)
        again = rebuild(self.make_algorithm(), history)
        self.check_equal(live, again, "rebuilt from what it was told, it answers differently")

    def test_results_told_together_count_as_told_one_by_one(self) -> None:
        history = self.history()
        one, all_at_once = rebuild(self.make_algorithm(), history), self.make_algorithm()
        all_at_once.tell([entry.result for entry in history], [])
        self.check_equal(one, all_at_once, "how results come together changes what it answers")

    def test_a_search_that_was_interrupted_ends_like_one_that_was_not(self) -> None:
        problem = self.make_problem(budget={"candidates": self.results}, lag=2)
        with tempfile.TemporaryDirectory() as name:
            whole, part = Path(name) / "whole", Path(name) / "part"
            expected, _ = self.run_search(problem, whole, stop_at=self.results + 1)
            for stop_at in (self.results // 3, 2 * self.results // 3, self.results + 1):
                asks, _ = self.run_search(problem, part, stop_at=stop_at)
        assert expected, "nothing was proposed"
        assert asks == expected, "resumed from its journal, a search goes another way"

    def test_results_in_any_order_and_lost_ones_are_harmless(self) -> None:
        for lost in (0.0, 0.2):
            runs = [
                run_in_parallel(self.make_algorithm(), self.results, seed=3, lost=lost)
                for _ in range(2)
            ]
            assert runs[0], "it proposes nothing while others are pending"
            assert runs[0] == runs[1], "the same results in the same order, other proposals"

    def test_infeasible_and_foreign_results_are_harmless(self) -> None:
        algorithm = self.make_algorithm()
        proposals = [entry.proposal for entry in self.history()[:8]]
        algorithm.tell([], [])
        for k, proposal in enumerate(proposals[:4]):
            nothing = Result(k, proposal.genome, None, point=proposal.point)
            algorithm.tell([nothing], proposals[k + 1 :])
        values = tuple(1.0 for _ in range(algorithm.objectives))
        # A baseline: no point, and perhaps not even a genome.
        algorithm.tell([Result(90, proposals[0].genome, values)], [])
        algorithm.tell([Result(91, None, values)], [])
        for k, proposal in enumerate(proposals[4:]):
            algorithm.tell([make_result(algorithm, 100 + k, proposal)], [])
        self.check_valid(algorithm, propose(algorithm, _rng(5)))

    def test_constraints_are_harmless(self) -> None:
        """One that looks at measured values and violations must bear that they are broken."""
        algorithm = self.make_algorithm()
        history = run_search(algorithm, self.results, constrained=True)
        broken = [entry for entry in history if max(entry.result.violations, default=0.0) > 0]
        assert broken, "no history to speak of"
        again = rebuild(self.make_algorithm(), history)
        self.check_equal(algorithm, again, "rebuilt from constrained results, it differs")

    def test_where_nothing_is_permitted_the_search_ends(self) -> None:
        problem = self.make_problem(constraints={"nfe": {"max": 0.5}}, budget={"candidates": 5})
        with tempfile.TemporaryDirectory() as name:
            asks, stop = self.run_search(problem, Path(name) / "none", stop_at=6)
        assert not asks, "a candidate that breaks a declared constraint was accepted"
        assert stop == "space exhausted", f"the search ended as {stop!r}"

    def test_proposals_are_valid_recipes_of_the_space(self) -> None:
        algorithm = self.make_algorithm()
        for entry in self.history():
            self.check_valid(algorithm, entry.proposal)

    def test_proposals_belong_to_whoever_asked(self) -> None:
        algorithm = rebuild(self.make_algorithm(), self.history())
        before = to_json(propose(algorithm, _rng(7)))
        given = propose(algorithm, _rng(7))
        if given is not None:
            given.genome["steps"].clear()
            again = to_json(propose(algorithm, _rng(7)))
            assert again == before, "changing a proposal changes the algorithm"

    def test_it_goes_on_finding_new_recipes(self) -> None:
        algorithm = self.make_algorithm()
        history = self.history()
        plans = {algorithm.space.plan(entry.proposal.genome).identity for entry in history}
        share = len(plans) / len(history)
        assert share >= 0.5, f"of {len(history)} proposals only {len(plans)} differ"

    def test_it_stays_quick_and_small_after_many_results(self) -> None:
        algorithm = self.make_algorithm()
        count = min(self.many, algorithm.most_candidates or self.many)
        halfway = 0
        for entry in repeat(algorithm, self.history(), count):
            algorithm.tell([entry], [])
            if entry.id == count // 2:
                halfway = count_objects(algorithm)
        if self.bounded:
            grown = count_objects(algorithm) - halfway
            assert grown <= 0.1 * halfway + 10, (
                f"it holds {grown} more objects at each {count // 2}"
            )
        times = []
        for k in range(self.asks):
            start = time.process_time()
            propose(algorithm, _rng(k))
            times.append(time.process_time() - start)
        taken = float(np.median(times))
        print(f"{algorithm.name}: {1e3 * taken:.2f} ms for a proposal after {count} results")
        assert taken <= self.seconds, f"{taken:.3f} s, more than {self.seconds:g}"

    def make_algorithm(self, objectives: int | None = None) -> Algorithm:
        """A new algorithm that knows nothing."""
        count = max(n for n in self.objectives if n <= 2) if objectives is None else objectives
        space = make_problem(json.dumps(self.space), count).space
        # From the class, so that a function is not taken for a method.
        return type(self).make(space, objectives=count)

    def make_problem(self, **changes: Any) -> Problem:
        """A problem that the algorithm searches, with changes to its experiment."""
        count = max(n for n in self.objectives if n <= 2)
        return make_problem(json.dumps(self.space), count, json.dumps(changes))

    def history(self) -> list[Trial]:
        """A search from the beginning, one at a time; the same for all tests of a class."""
        if type(self) not in _HISTORIES:
            _HISTORIES[type(self)] = run_search(self.make_algorithm(), self.results)
        found = _HISTORIES[type(self)]
        assert len(found) >= min(8, self.results), "it proposes nothing to speak of"
        return found

    def run_search(
        self, problem: Problem, folder: Path, *, stop_at: int
    ) -> tuple[list[dict[str, Any]], str]:
        """The asks of a real search with its journal, and why it ended."""
        algorithm = type(self).make(problem.space, objectives=len(problem.objectives))
        return run_journaled(problem, algorithm, folder, candidates=stop_at)

    def check_equal(self, one: Algorithm, other: Algorithm, message: str) -> None:
        """Both answer alike."""
        for k in range(self.asks):
            assert to_json(propose(one, _rng(k))) == to_json(propose(other, _rng(k))), message

    def check_valid(self, algorithm: Algorithm, proposal: Proposal | None) -> None:
        """It compiles, is inside the space, and comes from its point."""
        if proposal is None:
            return
        space, genome = algorithm.space, proposal.genome
        to_json(proposal)
        assert space.plan(genome).steps, "a plan without steps"
        assert space.repair(genome) == genome, "a proposal outside the space: repair changes it"
        if proposal.point is not None:
            names = {parameter.name for parameter in space.box()}
            assert set(proposal.point) == names, "a point that is not one of the space's box"
            assert space.from_box(proposal.point) == genome, "the point gives another genome"


def repeat(algorithm: Algorithm, history: Sequence[Trial], count: int) -> list[Result]:
    """So many results along an ever better front, of the genomes of a history."""
    results = []
    for k in range(count):
        told = history[k % len(history)].result
        place = (k * 0.618) % 1.0
        values = (place - 1e-6 * k, 1.0 - place**2 - 1e-6 * k, place)[: algorithm.objectives]
        results.append(replace(told, id=k, values=values, measured=values))
    return results


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([17, *key])
