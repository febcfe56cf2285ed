"""MLflow: one run for each study, in a database beside it unless told otherwise."""

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autosearch.errors import missing
from autosearch.integrations.loggers.base import Logger, Numbers, Watched
from autosearch.study.study import Candidate

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from autosearch.integrations.loggers.final_front import FinalFront

__all__ = ["Mlflow"]

# By which a resumed study finds its run.
_TAG = "autosearch.study"
# Longer ones are refused by some stores; the whole experiment is an artifact.
_LONGEST = 250


class Mlflow(Logger):
    """Metrics by candidate; the experiment, the front as table, data and picture as artifacts.

    Args:
        uri: the tracking server, ``sqlite:///FILE`` or a folder; by default the one that
            ``MLFLOW_TRACKING_URI`` names, else ``mlflow.db`` in the study's folder.
        experiment: the name of MLflow's experiment.
    """

    name = "mlflow"
    summary = "MLflow: a run for each study, in a local database or on a tracking server"

    def __init__(self, *, uri: str | None = None, experiment: str = "autosearch") -> None:
        # Read when the library is imported: it reports how it is used to its makers.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow
            from mlflow import entities
        except ImportError as error:
            raise missing(error, install="autosearch[loggers]", what="loggers.mlflow") from None
        self._library: Any = mlflow
        self._entities: Any = entities
        self._uri, self._experiment = uri, experiment
        self._client: MlflowClient
        self._run = ""

    def on_start(self, watched: Watched) -> None:
        given = self._uri or os.environ.get("MLFLOW_TRACKING_URI")
        folder = watched.directory.absolute()
        self._client = self._library.MlflowClient(
            tracking_uri=given or f"sqlite:///{folder / 'mlflow.db'}"
        )
        experiment = self._client.get_experiment_by_name(self._experiment)
        number = experiment.experiment_id if experiment else None
        if number is None:
            place = None if given else (folder / "mlartifacts").as_uri()
            number = self._client.create_experiment(self._experiment, artifact_location=place)
        wanted = f"tags.`{_TAG}` = '{watched.id}'"
        known = self._client.search_runs([number], filter_string=wanted)
        self._run = known[0].info.run_id if known else self._new(number, watched)
        self._client.update_run(self._run, status="RUNNING")

    def on_result(self, candidate: Candidate, numbers: Numbers) -> None:
        self._log(numbers, candidate.id)

    on_validation = on_result

    def on_end(self, ending: "FinalFront") -> None:
        self._client.log_text(self._run, ending.text, "front.txt")
        self._client.log_dict(self._run, ending.table, "front.json")
        table = {"columns": ending.columns, "data": ending.rows}
        self._client.log_dict(self._run, table, "front_table.json")
        if ending.picture is not None:
            self._client.log_artifact(self._run, str(ending.picture))
        self._log(ending.numbers, ending.step)

    def close(self, *, finished: bool) -> None:
        self._client.set_terminated(self._run, "FINISHED" if finished else "KILLED")

    def _new(self, experiment: str, watched: Watched) -> str:
        header = watched.header
        tags = {_TAG: watched.id, "autosearch.version": header["version"]}
        run = self._client.create_run(experiment, run_name=watched.name, tags=tags)
        run_id: str = run.info.run_id
        settings = _flat(header["experiment"])
        parameters = [self._entities.Param(key, value) for key, value in settings.items()]
        self._client.log_batch(run_id, params=parameters)
        self._client.log_dict(run_id, header["experiment"], "experiment.json")
        return run_id

    def _log(self, numbers: Numbers, step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self._run, metrics=metrics)


def _flat(data: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """An experiment's settings as texts by dotted names, without those that are not given."""
    found: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        elif value not in (None, [], {}):
            text = value if isinstance(value, str) else json.dumps(value)
            found[before + key] = text[:_LONGEST]
    return found
