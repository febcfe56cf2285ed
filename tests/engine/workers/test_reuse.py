"""Workers that keep network outputs: the same rows for less, and what they charge for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.workers.base import SampleTask, TimingTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import Runner
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Step

SPEC = ModelSpec("mixture", {"dimension": 2, "components": 2})
SIZE = 50
TIMES = (900.0, 600.0, 300.0, 50.0)


@pytest.fixture
def evaluator() -> ModelEvaluator:
    return ModelEvaluator(SPEC, call_cache="auto")


def plan(evaluator: ModelEvaluator, *times: float, **change: Any) -> Plan:
    denoiser = evaluator.model.denoiser
    steps = [Step(time=time, **change) for time in times]
    recipe = baseline(f"ddim@{len(steps)}", denoiser).model_copy(update={"steps": steps})
    return compile_recipe(recipe, denoiser)


def task(
    found: Plan, blocks: Sequence[int] = (0, 1), *, needs: str = "final", seed: int = 0
) -> SampleTask:
    return SampleTask(0, found, seed, Stream.SEARCH, tuple(blocks), SIZE, frozenset({needs}))


def test_rows_are_those_without_and_only_what_is_new_is_executed(evaluator):
    plain = ModelEvaluator(SPEC)
    assert plain.call_cache is None
    for times, new in ((TIMES, 4), (TIMES, 0), ((*TIMES[:3], 40.0), 1), ((*TIMES[:2], 200.0), 1)):
        asked = task(plan(evaluator, *times))
        found, alone = evaluator.evaluate(asked), plain.evaluate(asked)
        assert np.array_equal(found.rows["final"], alone.rows["final"])
        assert alone.forward_equivalents == 2 * SIZE * len(times)
        assert found.forward_equivalents == 2 * SIZE * new


def test_noise_of_steps_is_the_same_when_they_are_known(evaluator):
    plain = ModelEvaluator(SPEC)
    for times in (TIMES, (*TIMES[:3], 40.0)):
        asked = task(plan(evaluator, *times, eta=1.0))
        found = evaluator.evaluate(asked)
        assert np.array_equal(found.rows["final"], plain.evaluate(asked).rows["final"])
    assert found.forward_equivalents == 2 * SIZE


def test_other_blocks_seeds_and_sizes_share_nothing(evaluator):
    found = plan(evaluator, *TIMES)
    whole = task(found).nominal
    assert evaluator.evaluate(task(found)).forward_equivalents == whole
    assert evaluator.evaluate(task(found, (2, 3))).forward_equivalents == whole
    assert evaluator.evaluate(task(found, seed=1)).forward_equivalents == whole
    assert evaluator.evaluate(task(found, (1, 2))).forward_equivalents == 0
    other = SampleTask(0, found, 0, Stream.SEARCH, (0,), 2 * SIZE, frozenset({"final"}))
    assert evaluator.evaluate(other).forward_equivalents == other.nominal
    fresh = SampleTask(0, found, 0, Stream.VALIDATION, (0, 1), SIZE, frozenset({"final"}))
    assert evaluator.evaluate(fresh).forward_equivalents == whole


def test_time_is_measured_on_all_of_it(evaluator):
    whole = plan(evaluator, *TIMES)
    evaluator.evaluate(task(whole))
    outcome = evaluator.run(TimingTask(0, whole, runs=2, block_size=SIZE))
    assert outcome.rows["latency"].shape == (2,)
    assert outcome.forward_equivalents == pytest.approx(3 * SIZE * 4)


def test_what_is_infeasible_is_charged_for_what_was_executed(evaluator, monkeypatch):
    """The first block is finite, the second one is not."""
    runner = Runner(lambda: evaluator, name="here")
    evaluator.evaluate(task(plan(evaluator, *TIMES), (0,)))
    drawn = evaluator._drawn

    def broken(seed: int, stream: Stream, indices: range, k: int) -> torch.Tensor:
        noise = drawn(seed, stream, indices, k)
        return noise * torch.nan if indices.start else noise

    monkeypatch.setattr(evaluator, "_drawn", broken)
    outcome = runner.run(task(plan(evaluator, *TIMES[:3], 40.0), (0, 1, 2)))
    assert outcome.reason == "non-finite samples in seed block 1"
    assert outcome.forward_equivalents == SIZE * (1 + 4)


def test_a_worker_that_starts_again_has_lost_its_store_alone():
    made: list[ModelEvaluator] = []

    def factory() -> ModelEvaluator:
        made.append(ModelEvaluator(SPEC, call_cache="auto"))
        return made[-1]

    runner = Runner(factory, name="here")
    asked = task(plan(ModelEvaluator(SPEC), *TIMES))
    first, again = runner.run(asked), runner.run(asked)
    runner._evaluator = None
    after = runner.run(asked)
    assert len(made) == 2
    assert [o.forward_equivalents for o in (first, again, after)] == [
        asked.nominal,
        0,
        asked.nominal,
    ]
    assert np.array_equal(first.rows["final"], again.rows["final"])
    assert np.array_equal(first.rows["final"], after.rows["final"])


def test_a_small_store_saves_less_and_changes_nothing():
    """Room for three of a batch's states: what is asked for twice in a row was dropped again."""
    state = SIZE * 2 * 4
    evaluator = ModelEvaluator(SPEC, call_cache=3 * state)
    assert evaluator.call_cache is not None
    asked = task(plan(evaluator, *TIMES), (0,))
    first = evaluator.evaluate(asked)
    second = evaluator.evaluate(asked)
    assert evaluator.call_cache.nbytes <= 3 * state
    assert np.array_equal(first.rows["final"], second.rows["final"])
    assert second.forward_equivalents == SIZE
