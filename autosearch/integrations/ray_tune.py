"""A study inside Ray Tune: a searcher that drives our search, and a trainable that measures.

    from ray import tune
    from autosearch.integrations.ray_tune import RecipeSearch, recipe_trainable

    tuner = tune.Tuner(
        recipe_trainable("mixture"),
        tune_config=tune.TuneConfig(
            search_alg=RecipeSearch("mixture"),
            num_samples=-1,            # the experiment's budget ends the search
            max_concurrent_trials=2,
            reuse_actors=True,         # the model is loaded once for each actor
        ),
    )
    results = tuner.fit()

Trials are the candidates of ``autosearch run`` with the same experiment: baselines first,
duplicates avoided, constraints kept; in fixed order the very same, however many run at a time.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from autosearch.errors import missing
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.integrations.candidate_evaluator import CandidateEvaluator
from autosearch.integrations.ray_tune_searcher import MEASURED, RecipeSearch, as_experiment
from autosearch.objectives.base import Objective
from autosearch.study.study import estimates_from_record

try:
    import ray
    from ray import tune
except ImportError as error:
    raise missing(error, install="ray[tune]", what="integrations.tune") from None

__all__ = ["RecipeSearch", "RecipeTrainable", "recipe_trainable"]

# Tune names trials and their folders after the trainable.
_NAME = "recipe"


class RecipeTrainable(tune.Trainable):
    """Measures one candidate in one step. Made by :func:`recipe_trainable`.

    Its result has each objective's value by name (those of constraints too), for measured ones
    ``NAME_standard_error``, and ``forward_equivalents``, ``feasible``, ``reason`` and ``measured``
    (the whole measurement, as JSON text). Values of an infeasible candidate are NaN: the trial
    ends well and is not lost, and what picks a best result passes over it.
    """

    experiment_data: ClassVar[Mapping[str, Any]]

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        """What the experiment says of its workers; ``tune.with_resources`` overrides it."""
        workers = experiment_from_dict(cls.experiment_data, where="trainable").workers
        return tune.PlacementGroupFactory([{"CPU": workers.cpus, "GPU": workers.gpus}])

    def setup(self, config: Mapping[str, Any]) -> None:
        """Load the model, on a GPU if Ray gave this actor one."""
        experiment = experiment_from_dict(self.experiment_data, where="trainable")
        device: Literal["cpu", "cuda"] = "cuda" if ray.get_gpu_ids() else "cpu"
        self._evaluator = CandidateEvaluator(experiment, device=device, name="tune")

    def reset_config(self, new_config: Mapping[str, Any]) -> bool:
        """The model serves any candidate."""
        return True

    def step(self) -> dict[str, Any]:
        """Measure the candidate, and be done."""
        genome, first = json.loads(self.config["genome"]), self.config["first_block"]
        measured = self._evaluator.measure(genome, first_block=first)
        objectives = self._evaluator.problem.measure.objectives
        return {**_metrics(measured, objectives), "done": True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to keep: a trial is one step. Tune asks unless told not to."""

    def load_checkpoint(self, checkpoint: Mapping[str, Any] | None) -> None:
        """Nothing to load."""


def recipe_trainable(
    experiment: Experiment | str | Path, *, overrides: Sequence[str] = ()
) -> type[RecipeTrainable]:
    """The trainable of an experiment; give it to a ``Tuner``, and again to ``Tuner.restore``.

    Args:
        experiment: as the searcher's.
        overrides: as the searcher's.

    Raises:
        UserError: for a missing or wrong experiment.
    """
    data = as_experiment(experiment, overrides).to_dict()
    return type(_NAME, (RecipeTrainable,), {"experiment_data": data, "__module__": __name__})


def _metrics(measured: Mapping[str, Any], objectives: Sequence[Objective]) -> dict[str, Any]:
    """A measurement as scalars that any logger takes."""
    feasible = measured["status"] == "ok"
    estimates = estimates_from_record(measured["values"]) if feasible else {}
    metrics: dict[str, Any] = {}
    for objective in objectives:
        estimate = estimates.get(objective.name)
        metrics[objective.name] = math.nan if estimate is None else estimate.value
        if objective.needs:
            error = math.nan if estimate is None else estimate.standard_error
            metrics[f"{objective.name}_standard_error"] = error
    return {
        **metrics,
        "forward_equivalents": measured["forward_equivalents"],
        "feasible": feasible,
        "reason": measured["reason"] or "",
        MEASURED: json.dumps(measured),
    }
