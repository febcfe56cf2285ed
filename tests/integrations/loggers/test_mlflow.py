"""The real MLflow finds what was logged: in a database, and in one run for each study."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun


def runs(uri: str, experiment: str = "autosearch") -> tuple[MlflowClient, list[MlflowRun]]:
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return client, list(client.search_runs([found.experiment_id]))


def history(client: MlflowClient, run: MlflowRun, key: str) -> dict[int, float]:
    entries = client.get_metric_history(run.info.run_id, key)
    assert len({entry.step for entry in entries}) == len(entries)
    return {entry.step: entry.value for entry in entries}


def test_metrics_parameters_and_artifacts_are_there_once(run, tmp_path: Path) -> None:
    run(["mlflow"])
    study = run(["mlflow"], resume=True, candidates=15)
    client, (found,) = runs(f"sqlite:///{tmp_path / 'study' / 'mlflow.db'}")
    searched = history(client, found, "search/fid")
    assert searched == {
        number: pytest.approx(candidate.values["fid"].value)
        for number, candidate in study.candidates.items()
    }
    assert len(searched) == 15
    validated = history(client, found, "validated/fid")
    assert {study.candidates[i].identity for i in validated} == set(study.validations[0, 100])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "study"
    assert found.data.params["model.name"] == "mixture"
    assert found.data.params["budget.candidates"] == "12"
    assert history(client, found, "cost/candidates") == {11: 12, 14: 15}
    names = {one.path for one in client.list_artifacts(found.info.run_id)}
    assert names == {
        "experiment.json",
        "front.json",
        "front.png",
        "front.txt",
        "front_table.json",
    }
    (table,) = (tmp_path / "study" / "mlartifacts").rglob("front_table.json")
    assert json.loads(table.read_text())["columns"][:3] == ["candidate", "recipe", "steps"]


def test_the_caller_s_tracking_server_is_taken(run, tmp_path: Path, monkeypatch) -> None:
    uri = f"sqlite:///{tmp_path / 'ours.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    run([{"name": "mlflow", "experiment": "samplers"}])
    _, (found,) = runs(uri, "samplers")
    assert found.data.metrics["search/nfe"] > 0
    assert not (tmp_path / "study" / "mlflow.db").exists()
