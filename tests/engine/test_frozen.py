"""What is handed from room to room is made once: nothing is assigned to it afterwards."""

import dataclasses
import functools
from typing import Any

import pytest
from pydantic import BaseModel

from autosearch.diffusion.noise import Stream
from autosearch.engine.engine import Assignment, Engine
from autosearch.engine.prepare import prepare
from autosearch.engine.prepared import Given, Prepared
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.workers.base import FitTask, Outcome, SampleTask, TimingTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.study.events import Event, ScaleAxis
from autosearch.study.study import Candidate

_VALUES = (
    Problem,
    Prepared,
    Given,
    Assignment,
    Candidate,
    SampleTask,
    TimingTask,
    FitTask,
    Outcome,
    ScaleAxis,
    *Event.__subclasses__(),
)


@pytest.mark.parametrize("kind", _VALUES, ids=lambda kind: kind.__name__)
def test_classes_of_values_are_frozen(kind: type[Any]) -> None:
    if issubclass(kind, BaseModel):
        assert kind.model_config["frozen"]
    else:
        assert kind.__dataclass_params__.frozen


def attributes(value: object) -> dict[str, int]:
    """The identity of each attribute, but for what is worked out from the others when asked for."""
    return {
        name: id(inner)
        for name, inner in vars(value).items()
        if not isinstance(getattr(type(value), name, None), functools.cached_property)
    }


def test_a_search_assigns_nothing_to_what_it_was_given(tools) -> None:
    keys = {"objectives": ["fid", "teacher_mse", "latency"], "budget": {"candidates": 20}}
    problem = Problem.of(tools.experiment(**keys))
    with InProcessExecutor(lambda: ModelEvaluator(problem.spec)) as executor:
        before = attributes(problem)
        prepared = prepare(problem, executor)
        assert attributes(problem) == before
        assert prepared.problem.measure.needs_latency_table
        given = attributes(prepared), attributes(prepared.problem)
        engine = Engine(prepared)
        first = engine.ask()
        assert first is not None
        assigned = attributes(first), attributes(first.plan), attributes(first.task)
        executor.submit(first.task)
        engine.tell(first.id, executor.wait()[0])
        drive(engine, executor)
    assert engine.ended == "budget"
    assert (attributes(prepared), attributes(prepared.problem)) == given
    assert (attributes(first), attributes(first.plan), attributes(first.task)) == assigned
    assert engine.study.candidates[0] is not first.candidate
    assert first.candidate.status == "pending"
    for field in dataclasses.fields(first.task):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(first.task, field.name, getattr(first.task, field.name))
    assert first.task.stream is Stream.SEARCH
