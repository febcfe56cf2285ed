"""Our searches inside Ray Tune."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from autosearch.engine.run import validate_study
from autosearch.errors import UserError
from autosearch.integrations.candidate_evaluator import CandidateEvaluator
from autosearch.integrations.ray_tune import (
    MEASURED,
    RecipeSearch,
    _unfinished_trials,
    recipe_trainable,
)
from autosearch.study.front import Front
from autosearch.study.progress import Progress
from autosearch.study.study import Study

MOST_SECONDS = 120.0


def tuner(experiment: Any, storage: Path, search: RecipeSearch) -> tune.Tuner:
    return tune.Tuner(
        recipe_trainable(experiment),
        tune_config=tune.TuneConfig(
            search_alg=search, num_samples=-1, max_concurrent_trials=2, reuse_actors=True
        ),
        run_config=tune.RunConfig(
            name=storage.name,
            storage_path=str(storage.parent),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )


def same_results(study: Study, engine: Study) -> None:
    """Equal candidates, verdicts and estimates, to the last bit."""
    assert sorted(study.candidates) == sorted(engine.candidates)
    for number, candidate in engine.candidates.items():
        other = study.candidates[number]
        assert other.genome == candidate.genome
        assert (other.status, other.reason) == (candidate.status, candidate.reason)
        assert other.values == candidate.values
        assert other.executed == candidate.executed


@pytest.mark.soak
def test_two_trials_at_a_time_give_the_engines_measurements(
    ray_cluster, experiment, engine, tmp_path: Path
) -> None:
    # A limit on a measured objective, so that some trials are infeasible.
    config = experiment(constraints={"fid": {"max": 0.3}}, budget={"candidates": 14})
    whole = engine(config)
    search = RecipeSearch(config)
    results = tuner(config, tmp_path / "tuned", search).fit()
    assert len(results) == 14
    assert results.num_errors == 0
    same_results(search.study, whole.study)
    assert search.study.stops == ["budget"]
    assert {c.status for c in search.study.candidates.values()} == {"ok", "infeasible"}

    actors = set()
    for result in results:
        metrics = result.metrics
        actors.add(metrics["pid"])
        candidate = whole.study.candidates[metrics["config"]["candidate"]]
        assert metrics["config"]["name"] == (candidate.name or f"#{candidate.id}")
        assert metrics["forward_equivalents"] == candidate.executed
        assert metrics["feasible"] is (candidate.status == "ok")
        assert metrics["reason"] == (candidate.reason or "")
        if metrics["feasible"]:
            for name, estimate in candidate.values.items():
                assert metrics[name] == estimate.value
            error = candidate.values["fid"].standard_error
            assert metrics["fid_standard_error"] == error
        else:
            assert math.isnan(metrics["fid"])
            assert math.isnan(metrics["nfe"])
    assert len(actors) <= 2
    best = min(whole.study.feasible, key=lambda c: c.values["fid"].value)
    found = results.get_best_result("fid", "min")
    assert found.metrics["config"]["candidate"] == best.id

    # Tune's own file is as this release reads it: none of its trials would run again.
    assert _unfinished_trials(Path(results.experiment_path)) == set()

    # What Tune kept is enough to go on with our own commands.
    again = RecipeSearch(config)
    again.restore_from_dir(results.experiment_path)
    again.write_study(tmp_path / "study")
    kept = Study.read(tmp_path / "study")
    same_results(kept, whole.study)
    validated = validate_study(tmp_path / "study", samples=None, seed=None, progress=Progress())
    assert Front.of(validated).to_dict()["points"] == Front.of(whole.study).to_dict()["points"]


@pytest.fixture(autouse=True)
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")


def started(search: RecipeSearch, count: int) -> dict[str, dict[str, Any]]:
    """So many suggestions by trial."""
    found = {f"t{i}": search.suggest(f"t{i}") for i in range(count)}
    assert all(isinstance(config, dict) for config in found.values())
    return found


def result_of(config: Any, suggestion: dict[str, Any]) -> dict[str, Any]:
    """What a trial reports at its end."""
    evaluator = CandidateEvaluator(config)
    genome, first = json.loads(suggestion["genome"]), suggestion["first_block"]
    measured = evaluator.measure(genome, first_block=first)
    return {MEASURED: json.dumps(measured.to_record())}


def tune_state(directory: Path, **trials: str) -> None:
    """Tune's own file beside the searcher's: the status of each trial."""
    entries = [[json.dumps({"trial_id": t, "status": s}), "{}"] for t, s in trials.items()]
    path = directory / "experiment_state-2026-01-01.json"
    path.write_text(json.dumps({"trial_data": entries}))


def test_suggestions_wait_for_the_limit_and_finish_with_the_budget(experiment) -> None:
    config = experiment(budget={"candidates": 3}, lag=16)
    search = RecipeSearch(config)
    assert search.metric == ["fid", "nfe"]
    assert search.mode == ["min", "min"]
    assert search.set_max_concurrency(2)
    found = started(search, 2)
    assert [c["name"] for c in found.values()] == ["ddim@2", "dpmpp_2m@2"]
    assert search.suggest("t2") is None
    search.on_trial_complete("t0", result_of(config, found["t0"]))
    assert isinstance(search.suggest("t2"), dict)
    search.on_trial_complete("t1", result_of(config, found["t1"]))
    assert search.suggest("t3") == RecipeSearch.FINISHED
    search.on_trial_complete("unknown", {})


def test_directions_are_tunes(experiment) -> None:
    search = RecipeSearch(experiment(objectives=["fid", "nfe", "precision"], samples=400))
    assert search.mode == ["min", "min", "max"]


def test_trials_without_a_result_are_infeasible_and_the_search_goes_on(experiment) -> None:
    search = RecipeSearch(experiment(baselines=["ddim@3"], lag=2))
    started(search, 2)
    assert search.suggest("t2") is None
    search.on_trial_complete("t0", None, error=True)
    search.on_trial_complete("t1", {"training_iteration": 0})
    first, second = (search.study.candidates[i] for i in (0, 1))
    assert (first.status, first.failed) == ("infeasible", True)
    assert (second.status, second.failed) == ("infeasible", False)
    assert isinstance(search.suggest("t3"), dict)


@pytest.mark.parametrize("how", ["file", "pickle"])
def test_a_restored_search_goes_on_like_the_live_one(experiment, tmp_path: Path, how: str) -> None:
    config = experiment(lag=3, baselines=["ddim@3"])
    search = RecipeSearch(config)
    found = started(search, 3)
    for trial in ("t1", "t0"):
        search.on_trial_complete(trial, result_of(config, found[trial]))
    if how == "file":
        search.save(str(tmp_path / "state"))
        json.loads((tmp_path / "state").read_text())
        other = RecipeSearch(config)
        other.restore(str(tmp_path / "state"))
    else:
        other = cloudpickle.loads(cloudpickle.dumps(search))
    assert other.suggest("t3") == search.suggest("t3")
    result = result_of(config, found["t2"])
    for live in (search, other):
        live.on_trial_complete("t2", result)
    assert other.study.candidates == search.study.candidates
    assert other.suggest("t4") == search.suggest("t4")


def test_a_trial_that_tune_lost_is_given_out_again(experiment, tmp_path: Path) -> None:
    search = RecipeSearch(experiment(lag=3, baselines=["ddim@3"]))
    found = started(search, 3)
    search.save(str(tmp_path / "state"))
    tune_state(tmp_path, t0="RUNNING", t1="TERMINATED")
    other = RecipeSearch(experiment(lag=3, baselines=["ddim@3"]))
    other.restore(str(tmp_path / "state"))
    # t1 ended without our knowing and t2 was never written; t0 will run again.
    assert other.suggest("u0") == found["t1"]
    assert other.suggest("u1") == found["t2"]
    assert other.suggest("u2") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"experiment": 1}', "\x80\x04"])
def test_a_damaged_state_is_one_line(experiment, tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        RecipeSearch(experiment()).restore(str(tmp_path / "state"))


def test_the_state_of_another_experiment_is_refused(experiment, tmp_path: Path) -> None:
    RecipeSearch(experiment()).save(str(tmp_path / "state"))
    with pytest.raises(UserError, match="another experiment"):
        RecipeSearch(experiment(seed=1)).restore(str(tmp_path / "state"))


def test_experiments_are_named_as_for_run(tmp_path: Path) -> None:
    search = RecipeSearch("mixture", overrides=["budget.candidates=7"])
    assert search.study.experiment.budget.candidates == 7
    made = recipe_trainable("mixture", overrides=["workers.cpus=2"])
    assert made.__name__ == "recipe"
    assert made.default_resource_request({}).required_resources == {"CPU": 2.0}
    with pytest.raises(UserError, match="did you mean 'mixture'"):
        recipe_trainable("mixtur")
    with pytest.raises(UserError, match="baselines: "):
        RecipeSearch("mixture", overrides=["baselines=[dimm]"])
    with pytest.raises(UserError, match="overrides"):
        recipe_trainable(search.study.experiment, overrides=["seed=1"])


def test_without_ray_the_message_names_what_to_install() -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from autosearch.errors import UserError\n"
        "try: import autosearch.integrations.ray_tune\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "integrations.tune: ray is not installed; pip install 'ray[tune]'\n"


def killed(config: Any, storage: Path, point: int) -> None:
    """Start a driver on the cluster of the tests; kill it when so many trials have reported."""
    driver = Path(__file__).with_name("tune_driver.py")
    address = ray.get_runtime_context().gcs_address
    text = json.dumps(config.to_dict())
    # Tune writes its state now and then: more often here, so that there is some.
    environment = {**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": "0.3"}
    with subprocess.Popen(
        [sys.executable, str(driver), address, text, str(storage)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        end = time.monotonic() + MOST_SECONDS
        while sum(1 for _ in storage.glob("*/result.json")) < point:
            assert process.poll() is None, "the driver ended before it was killed"
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.soak
def test_a_killed_run_goes_on_by_restore(ray_cluster, experiment, engine, tmp_path: Path) -> None:
    config = experiment(budget={"candidates": 40})
    whole = engine(config)
    storage = tmp_path / "tuned"
    point = random.randint(8, 30)
    killed(config, storage, point)
    restored = tune.Tuner.restore(str(storage), recipe_trainable(config))
    results = restored.fit()
    assert results.num_errors == 0, point
    candidates = [result.metrics["config"]["candidate"] for result in results]
    assert sorted(candidates) == list(range(40)), point
    search = RecipeSearch(config)
    search.restore_from_dir(str(storage))
    same_results(search.study, whole.study)
