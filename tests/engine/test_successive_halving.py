"""Searches that race: the same for any workers, resumed, and paid for what was sampled."""

import zlib
from dataclasses import replace

import numpy as np
import pytest

from autosearch.engine.problem import Problem
from autosearch.errors import UserError
from autosearch.study.front import Front

RUNGS = {"rungs": [100, 200, 400]}


def summary(found):
    return [
        (c.id, c.identity, c.status, c.samples, c.values["fid"].value)
        for c in found.study.candidates.values()
    ]


@pytest.fixture(scope="module")
def evaluator(tools):
    """Rows whose spread tells recipes apart, at the first rung as at the last."""

    class Spread(tools.fake):
        def evaluate(self, task):
            outcome = super().evaluate(task)
            scale = 1 + int(task.plan.identity[:2], 16) / 16
            rng = np.random.default_rng([zlib.crc32(task.plan.identity.encode()), *task.blocks])
            rows = {
                name: scale * rng.normal(size=rows.shape) for name, rows in outcome.rows.items()
            }
            return replace(outcome, rows=rows)

    return Spread


def test_some_are_stopped_and_baselines_never(runner, evaluator):
    found = runner.search(evaluator=evaluator(), budget={"candidates": 60}, **RUNGS)
    candidates = list(found.study.candidates.values())
    reached = {c.samples for c in candidates}
    assert reached >= {100, 400}
    assert all(c.samples == 400 and not c.stopped for c in candidates if c.kind == "baseline")
    for candidate in candidates:
        assert len(candidate.rungs) == [100, 200, 400].index(candidate.samples)
        executed = candidate.nominal * candidate.samples / 400
        assert candidate.executed == pytest.approx(executed)
    front = {p["id"] for p in Front.of(found.study).to_dict()["points"]}
    assert not front & {c.id for c in candidates if c.stopped}


def test_workers_and_resuming_change_nothing(runner, evaluator):
    keys = {"budget": {"candidates": 50}, **RUNGS}
    whole = runner.search(evaluator=evaluator(), **keys)
    many = runner.search(evaluator=evaluator(), size=4, seed=3, **keys)
    assert summary(many) == summary(whole)
    calls = iter(range(1000))
    runner.search(name="cut", evaluator=evaluator(), stopping=lambda: next(calls) > 30, **keys)
    assert summary(runner.search(name="cut", evaluator=evaluator(), **keys)) == summary(whole)


def test_what_a_race_saves_is_spent_on_others(runner, evaluator):
    limit = {"forward_equivalents": 60_000}
    raced = runner.search(evaluator=evaluator(), budget=limit, **RUNGS)
    plain = runner.search(evaluator=evaluator(), budget=limit, samples=400)
    assert len(raced.study.candidates) > len(plain.study.candidates)
    assert 50_000 < raced.study.executed <= 60_000
    again = runner.search(evaluator=evaluator(), size=4, budget=limit, **RUNGS)
    assert summary(again) == summary(raced)


@pytest.mark.parametrize("keys", [{"noise": "fresh"}, {"objectives": ["nfe", "macs"]}])
def test_where_there_is_nothing_to_race_on(tools, keys):
    with pytest.raises(UserError, match="rungs: candidates are compared on common noise"):
        Problem.of(tools.experiment(**{**keys, **RUNGS}))


def test_rungs_too_few_for_the_metric_are_refused(tools):
    with pytest.raises(UserError, match="rungs: 50 is not a multiple"):
        Problem.of(tools.experiment(rungs=[50, 400]))
