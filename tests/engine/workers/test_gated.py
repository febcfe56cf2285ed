"""What gated recipes cost is measured: from the worker's rows to the tables."""

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.problem import Problem
from autosearch.engine.run import run_study
from autosearch.engine.workers.base import SampleTask
from autosearch.engine.workers.collect import collect
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.experiment import experiment_from_dict
from autosearch.models.bundled import DigitsModel
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.front_text import MEASURED_NOTE, front_text
from autosearch.study.progress import Progress

NEEDS = frozenset({"features"})


@pytest.fixture(scope="module")
def evaluator() -> ModelEvaluator:
    return ModelEvaluator(ModelSpec("digits"))


def plan(name: str, model: DigitsModel) -> Plan:
    return compile_recipe(baseline(name, model.denoiser), model.denoiser)


def task(found: Plan) -> SampleTask:
    return SampleTask(0, found, 0, Stream.SEARCH, (0, 1), 100, NEEDS)


def test_workers_record_what_each_sample_executed(evaluator: ModelEvaluator) -> None:
    plain, gated = (plan(f"ddim{rest}@6", evaluator.model) for rest in ("", "+fbc:0.2"))
    assert task(plain).returns == NEEDS
    asked = task(gated)
    assert asked.returns == {"features", "macs"}
    outcome = evaluator.evaluate(asked)
    macs = outcome.rows["macs"]
    assert macs.shape == (200,)
    assert len(np.unique(macs)) > 1
    assert macs.max() <= gated.macs
    assert outcome.forward_equivalents == pytest.approx(macs.sum() / gated.full_macs)
    assert evaluator.evaluate(task(plain)).forward_equivalents == pytest.approx(6 * 200)


def test_macs_of_gated_plans_are_the_mean_with_an_error(evaluator: ModelEvaluator) -> None:
    gated = plan("ddim+fbc:0.2@6", evaluator.model)
    measure = Measure(evaluator.model, make_objectives(["class_accuracy", "macs", "nfe"]))
    with InProcessExecutor(lambda: evaluator) as executor:
        found = collect(
            executor,
            gated,
            seed=0,
            stream=Stream.SEARCH,
            blocks=range(4),
            block_size=100,
            needs=measure.needs,
        )
    estimates = measure.estimates(gated, found.rows, samples=400)
    assert estimates["macs"].value == pytest.approx(found.rows["macs"].mean())
    assert estimates["macs"].standard_error > 0
    assert estimates["macs"].value < gated.macs
    assert estimates["nfe"].pseudo == ()
    assert found.forward_equivalents < found.nominal


def test_a_front_marks_what_was_measured(tmp_path) -> None:
    experiment = experiment_from_dict(
        {
            "model": "digits",
            "space": {"named": {"recipes": ["ddim@6"]}, "gate": {"threshold": [0.15, 0.3]}},
            # The kernel distance is content with few samples.
            "objectives": ["kid", "macs"],
            "constraints": {"macs": {"max": 1e9}},
            "baselines": ["ddim@6", "ddim+fbc:0.2@6"],
            "algorithm": "random",
            "samples": 200,
            "budget": {"candidates": 4},
            "validation": {"samples": 200},
            "workers": {"executor": "inprocess"},
        },
        where="test",
    )
    study = run_study(experiment, tmp_path / "study", resume=False, progress=Progress())
    front = Front.of(study)
    table = front.to_dict()
    named = {point["baseline"]: point for point in table["baselines"]}
    gated, plain = named["ddim+fbc:0.2@6"]["values"]["macs"], named["ddim@6"]["values"]["macs"]
    assert gated["measured"] is True
    assert gated["ci"][0] < gated["validated"] < gated["ci"][1]
    assert gated["validated"] < plain["validated"]
    assert "measured" not in plain
    text = front_text(front)
    assert MEASURED_NOTE in text
    assert "~  " in text
    # The budget counts bounds, and what was executed is less.
    assert table["cost"]["forward_equivalents"] < table["cost"]["forward_equivalents_nominal"]


def test_constraints_on_plans_see_the_bound() -> None:
    problem = Problem.of(
        experiment_from_dict(
            {
                "model": "digits",
                "space": {"named": {"recipes": ["ddim@6"]}, "gate": {}},
                "objectives": ["fid", "macs"],
                "constraints": {"macs": {"max": 1.0}},
                "baselines": [],
            },
            where="test",
        )
    )
    recipe: Recipe = baseline("ddim+fbc:0.2@6", problem.denoiser)
    reason = problem.violation(problem.compile(recipe))
    assert reason is not None
    assert reason.startswith("macs")
