"""Latency: the prediction adds up, and single plans are measured alone."""

from typing import Any

import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.latency_table import LatencyTable
from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.engine.run import run_study
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.engine.workers.timing import latency_table, time_plan
from autosearch.experiment import experiment_from_dict
from autosearch.models.bundled import DigitsModel
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Latency
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.progress import Progress
from autosearch.study.study import Study


@pytest.fixture(scope="module")
def digits() -> Denoiser:
    return DigitsModel.load().denoiser


def plan(denoiser: Denoiser, name: str, **rest: Any) -> Plan:
    data = baseline(name, denoiser).to_dict()
    for step in data["steps"]:
        step.update(rest)
    return compile_recipe(Recipe.from_dict(data), denoiser)


def made_up(found: Plan, denoiser: Denoiser) -> float:
    """A machine on which everything takes a time of its own, so that a table can be exact."""
    total = 0.0
    costs = {"attn": 3.0, "mlp": 4.0}
    for count, step in zip(evaluations(found.steps), found.steps, strict=True):
        total += count * 5.0
        for branch in step.branches:
            computed = 8.0 * 10  # 8 blocks: attention, feed-forward and 3 of their own
            made_up_for = 0.0
            for name, action in branch.actions.items():
                computed -= costs.get(name.rpartition(".")[2], 10.0)
                made_up_for += (action.order + 1) * 0.25 if action.remembers else 0.0
            total += count * (computed + made_up_for)
    return total


@pytest.mark.parametrize(
    "name",
    ["ddim@20", "ddim+fora:3@20", "ddim+taylorseer:4:2@12", "ddim+bksdm@5", "ddim+bksdm+fora@9"],
)
def test_the_table_adds_up(name: str, digits: Denoiser) -> None:
    table = latency_table(digits, lambda found: made_up(found, digits))
    assert table.evaluation == pytest.approx(85)
    assert table.branch == pytest.approx(80)
    assert table.sites["block.3"] == pytest.approx(10)
    assert table.sites["block.7.mlp"] == pytest.approx(4)
    found = plan(digits, name)
    assert table.seconds(found, digits.sites) == pytest.approx(made_up(found, digits))
    assert LatencyTable.from_dict(table.to_dict()) == table


def test_gated_plans_lie_between_their_ends(digits: Denoiser) -> None:
    table = latency_table(digits, lambda found: made_up(found, digits))
    gated, plain = plan(digits, "ddim+fbc:0.2@10"), plan(digits, "ddim@10")
    assert table.seconds(gated, digits.sites) == table.seconds(plain, digits.sites)
    gates = [step.branches[0].gate for step in gated.steps]
    least = gated.macs - sum(gate.saves for gate in gates if gate)
    opened = table.seconds(gated, digits.sites, float(least))
    # Nine steps in which one block of eight and little else is left.
    assert opened == pytest.approx(10 * 85 - 9 * 70 + 9 * 0.25)
    half = table.seconds(gated, digits.sites, (gated.macs + least) / 2)
    assert half == pytest.approx((opened + table.seconds(plain, digits.sites)) / 2)


def test_the_objective_says_nothing_before_its_table(digits: Denoiser) -> None:
    latency = Latency()
    assert not latency.ready
    with pytest.raises(TypeError, match="nothing was measured yet"):
        latency.declared(plan(digits, "ddim@5"))
    latency = Latency(LatencyTable(2.0, 1.0), digits.sites)
    assert latency.declared(plan(digits, "ddim@5")) == 10.0
    guided = plan(digits, "ddim@5", guidance=[{"rule": "cfg", "scale": 2.0}])
    assert latency.observed(guided, {}, 0).value == 15.0


def test_plans_are_timed_run_by_run() -> None:
    with InProcessExecutor(lambda: ModelEvaluator(ModelSpec("digits"))) as executor:
        found = plan(DigitsModel.load().denoiser, "ddim+fbc:0.2@3")
        outcome = time_plan(executor, found, block_size=100, runs=2)
    assert outcome.rows["latency"].shape == (2,)
    assert (outcome.rows["latency"] > 0).all()
    # Twice, and once more before.
    assert outcome.forward_equivalents == pytest.approx(3 * 100 * 3)


@pytest.mark.soak
def test_a_study_keeps_its_table_and_times_its_front_alone(tmp_path) -> None:
    settings = {
        "model": "digits",
        "space": {"named": {"recipes": ["ddim@3"]}, "cache-interval": {}},
        # The kernel distance is content with few samples.
        "objectives": ["kid", "latency"],
        "constraints": {"latency": {"max": 1e3}},
        "baselines": ["ddim@3", "ddim+fora:2@3"],
        "algorithm": "random",
        "samples": 200,
        "budget": {"candidates": 3},
        "validation": {"samples": 200},
        "workers": {"executor": "inprocess"},
    }
    out = tmp_path / "study"
    experiment = experiment_from_dict(settings, where="test")
    study = run_study(experiment, out, resume=False, progress=Progress())
    found = LatencyTable.from_dict(study.latency_table.table)
    # Loosely: other processes may take the processor at any moment.
    assert 0 < found.sites["block.0.attn"] < found.evaluation
    assert set(found.features) == {0, 1, 2, 3, 4}
    assert study.overheads["latency table"] > 0
    front = Front.of(study)
    table = front.to_dict()
    for point in table["points"]:
        value = point["values"]["latency"]
        assert value["measured"] is True
        assert value["search"] != value["validated"]
        assert value["ci"][0] <= value["validated"] <= value["ci"][1]
    assert table["latency"]["measured"] >= len(table["points"])
    assert "latency: predicted in the search, measured alone for" in front_text(front)
    # Resuming takes the table that is there.
    again = experiment_from_dict({**settings, "budget": {"candidates": 4}}, where="test")
    resumed = run_study(again, out, resume=True, progress=Progress())
    assert resumed.latency_table == study.latency_table
    assert Study.read(out).timings.keys() >= study.timings.keys()
