"""Measuring one plan block by block, and the store in front of an executor."""

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.engine.problem import Problem
from autosearch.engine.workers.base import Outcome, SampleTask
from autosearch.engine.workers.collect import collect
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.engine.workers.store import BlockStore, StoredExecutor

NEEDS = frozenset({"features", "final"})


@pytest.fixture(scope="module")
def problem(tools):
    return Problem.of(tools.experiment())


def plan_of(problem, name):
    return problem.compile(baseline(name, problem.denoiser))


def collected(executor, plan, blocks=range(10), needs=NEEDS):
    return collect(
        executor,
        plan,
        seed=3,
        stream=Stream.REFERENCE,
        blocks=blocks,
        block_size=100,
        needs=needs,
    )


@pytest.mark.parametrize("size", [1, 3])
def test_rows_stand_in_index_order_whoever_finishes_first(problem, tools, size):
    plan = plan_of(problem, "ddpm@3")
    evaluator = ModelEvaluator(problem.spec)
    whole = evaluator.evaluate(
        SampleTask(0, plan, 3, Stream.REFERENCE, tuple(range(10)), 100, NEEDS)
    )
    found = collected(tools.shuffled(evaluator, size=size, seed=size), plan)
    assert set(found.rows) == NEEDS
    for name, rows in found.rows.items():
        assert np.array_equal(rows, whole.rows[name])
    assert found.forward_equivalents == found.nominal == 3 * 1000
    assert found.reason is None


def test_parts_do_not_depend_on_the_number_of_workers(problem, tools):
    """Or a store filled by two workers would be of no use to three."""
    seen = []
    for size in (1, 2, 5):
        fake = tools.fake()
        collected(tools.shuffled(fake, size=size, seed=0), plan_of(problem, "ddim@3"))
        seen.append(set(fake.evaluated))
    assert seen[0] == seen[1] == seen[2]


def test_nothing_is_run_where_nothing_is_needed(problem, tools):
    fake = tools.fake()
    executor = tools.shuffled(fake, size=1, seed=0)
    found = collected(executor, plan_of(problem, "ddim@3"), needs=frozenset())
    assert (found.rows, found.forward_equivalents, found.nominal) == ({}, 0.0, 0.0)
    assert not fake.evaluated


def test_one_part_that_fails_fails_the_whole(problem, tools):
    class Failing(tools.fake):
        def evaluate(self, task):
            outcome = super().evaluate(task)
            return Outcome(task.id, reason="out of memory") if 4 in task.blocks else outcome

    found = collected(tools.shuffled(Failing(), size=2, seed=0), plan_of(problem, "ddim@3"))
    assert found.reason == "out of memory"
    assert found.rows == {}
    assert found.nominal == 3000


# -- the store ---------------------------------------------------------------------------------


def stored(fake, folder):
    return StoredExecutor(InProcessExecutor(lambda: fake), BlockStore(folder, 10**7))


def task_of(problem, number, name, needs=NEEDS, seed=0):
    return SampleTask(number, plan_of(problem, name), seed, Stream.SEARCH, (0,), 100, needs)


def test_what_was_evaluated_once_comes_from_the_store(problem, tools, tmp_path):
    fake = tools.fake()
    outcomes = []
    for number in (5, 9):
        with stored(fake, tmp_path) as executor:
            assert executor.size == 1
            executor.submit(task_of(problem, number, "ddim@3"))
            outcomes += executor.wait()
            assert executor.wait() == []
    first, second = outcomes
    assert (first.id, second.id) == (5, 9)
    assert all(np.array_equal(first.rows[name], second.rows[name]) for name in NEEDS)
    assert (first.forward_equivalents, second.forward_equivalents) == (300, 0)
    assert second.worker == "store"
    assert len(fake.evaluated) == 1


def test_other_plans_seeds_and_needs_are_evaluated(problem, tools, tmp_path):
    fake = tools.fake()
    with stored(fake, tmp_path) as executor:
        for task in (
            task_of(problem, 0, "ddim@3"),
            task_of(problem, 1, "ddim@4"),
            task_of(problem, 2, "ddim@3", seed=1),
            task_of(problem, 3, "ddim@3", needs=frozenset({"features"})),
        ):
            executor.submit(task)
            assert executor.wait()[0].forward_equivalents > 0


def test_failures_are_not_stored(problem, tools, tmp_path):
    class Failing(tools.fake):
        def evaluate(self, task):
            super().evaluate(task)
            return Outcome(task.id, reason="out of memory")

    fake = Failing()
    with stored(fake, tmp_path) as executor:
        for _ in range(2):
            executor.submit(task_of(problem, 0, "ddim@3"))
            assert executor.wait()[0].reason == "out of memory"
    assert sum(fake.evaluated.values()) == 2
