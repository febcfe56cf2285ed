"""Predictions of a dry run against what a run then does."""

from typing import Any

import pytest

from autosearch.engine import dry_run as dry_run_module
from autosearch.engine.dry_run import dry_run
from autosearch.errors import UserError
from autosearch.experiment import Experiment


def experiment(**changes: Any) -> Experiment:
    data: dict[str, Any] = {
        "model": "mixture",
        "space": {"timesteps": {"steps": [2, 4]}, "solver": {}},
        "objectives": ["fid", "nfe"],
        "baselines": ["ddim", "dpmpp_2m"],
        "samples": 100,
        "budget": {"candidates": 50},
        "validation": {"samples": 200},
        "workers": {"count": 1, "executor": "inprocess"},
    }
    return Experiment.model_validate(data | changes)


def test_counts_follow_from_the_experiment() -> None:
    found = dry_run(experiment())
    assert found["candidates"] == 50
    assert found["baselines"] == {
        "fitted": 0,
        "fits": 0.0,
        "count": 6,
        "forward_equivalents": 2 * (2 + 3 + 4) * 100.0,
    }
    # For each of three costs: the front, the next two and two baselines.
    assert found["validated"] == 3 * (3 + 2)
    assert found["forward_equivalents"]["validation"] == 5 * (2 + 3 + 4) * 200
    assert found["workers"] == 1


def test_a_teacher_is_set_up_where_an_objective_needs_one() -> None:
    plain = dry_run(experiment())["forward_equivalents"]
    taught = dry_run(experiment(objectives=["fid", "teacher_mse", "nfe"]))["forward_equivalents"]
    # On the search's samples and beside the reference; once more for the validation.
    assert taught["setup"] - plain["setup"] == 100 * (100 + 200)
    assert taught["validation"] - plain["validation"] == 200 * (100 + 200)


def test_fits_are_part_of_the_setup_and_their_baselines_of_the_search() -> None:
    plain = dry_run(experiment(baselines=["dpmpp_2m"]))
    fitted = dry_run(experiment(baselines=["dpmpp_2m+boss:50:100"]))
    assert fitted["baselines"]["fitted"] == fitted["baselines"]["count"] == 3
    assert fitted["baselines"]["fits"] == 3 * 50 * 100
    for part in ("search", "validation"):
        assert fitted["forward_equivalents"][part] == plain["forward_equivalents"][part]
    setup = fitted["forward_equivalents"]["setup"] - plain["forward_equivalents"]["setup"]
    assert setup == fitted["baselines"]["fits"]


@pytest.mark.parametrize("name", ["random", "nsga2", "screened", "tpe", "autodiffusion"])
def test_what_an_algorithm_takes_for_a_proposal_is_found_without_a_model(name: str) -> None:
    candidate = dry_run(experiment(algorithm={"name": name}))["candidate"]
    assert 0 < candidate["proposing_seconds"] < 1


def test_what_a_run_loads_first_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run_module._Clock, "rivals", lambda clock: 0.0)
    difference = dry_run(experiment(), start=1000)["seconds"] - dry_run(experiment())["seconds"]
    assert difference == pytest.approx(1000, abs=100)


def test_hours_pay_for_more_candidates_with_more_time() -> None:
    short, long = (dry_run(experiment(budget={"hours": h}))["candidates"] for h in (0.01, 1.0))
    assert 10 * short < long


def test_objectives_that_are_only_declared_cost_nothing() -> None:
    found = dry_run(experiment(objectives=["nfe", "macs"]))
    assert found["forward_equivalents"] == {"setup": 0.0, "search": 0.0, "validation": 0.0}
    assert found["validated"] == 0


def test_a_model_of_images_says_what_it_supports() -> None:
    found = dry_run(experiment(model="digits", samples=400, validation={"samples": 400}))
    assert found["model"]["branches"] == ["cond", "uncond"]
    assert found["model"]["sites"][0] == "block.0"
    assert sum(found["model"]["heads"].values()) >= 6


def test_a_limit_that_nothing_keeps_is_refused_with_the_nearest_value() -> None:
    space = {"timesteps": {"steps": [2, 4]}, "solver": {"evaluations": ["network"]}}
    with pytest.raises(UserError, match=r"space keeps nfe <= 1; the nearest of 300 has 2"):
        dry_run(experiment(space=space, constraints={"nfe": {"max": 1}}))


def test_a_search_without_baselines_is_timed_on_a_random_recipe() -> None:
    found = dry_run(experiment(baselines=[]))
    assert found["candidate"]["measured"] == "a random recipe"
    assert found["baselines"]["count"] == 0
    assert found["candidates"] == 50


@pytest.mark.parametrize(
    ("workers", "rivals", "seconds"),
    [
        # Two processors: what one worker samples and this process scores takes its time.
        (1, 0, 100 + 10),
        # Two more processes: each of three has two thirds of a processor.
        (1, 2, 110 * 3 / 2),
        # Two workers have a processor each, and share them with this process.
        (2, 0, 110 / 2),
        # Beside two more each of them has half a processor.
        (2, 2, 100 / 2 * 4 / 2),
        # One worker's scores may take longer than all samples.
        (4, 0, 110 / 2),
    ],
)
def test_time_is_shared_with_others(
    monkeypatch: pytest.MonkeyPatch, workers: int, rivals: int, seconds: float
) -> None:
    monkeypatch.setattr(dry_run_module, "_processors", lambda: 2)
    assert dry_run_module._elapsed(100, 10, workers, rivals) == pytest.approx(seconds)


def test_one_worker_of_any_kind_starts_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOSEARCH_EXECUTOR", raising=False)
    here, there = (
        dry_run(experiment(workers={"count": 1, "executor": executor}))
        for executor in ("auto", "ray")
    )
    assert (here["workers"], there["workers"]) == (1, 1)
    assert there["seconds"] - here["seconds"] > 6


def test_more_samples_than_there_is_memory_for_are_a_matter_of_multiplication() -> None:
    found = dry_run(experiment(samples=10**9))
    assert found["candidate"]["seconds"] > 1000
    assert "1,000,000,000 samples: their rows take about" in found["advice"]


def test_hours_beyond_any_patience_are_refused() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1000000"):
        experiment(budget={"hours": 1e300})
