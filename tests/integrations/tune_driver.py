"""A Tune user's script, as a process of its own that can be killed.

``tune_driver.py ADDRESS EXPERIMENT STORAGE`` joins the Ray at ADDRESS and searches two candidates
at a time; EXPERIMENT is JSON text.
"""

import json
import sys
from pathlib import Path

from ray import tune

from autosearch.engine.workers.ray_cluster import connect
from autosearch.experiment import experiment_from_dict
from autosearch.integrations.ray_tune import RecipeSearch, recipe_trainable


def main() -> None:
    address, text, storage = sys.argv[1:]
    experiment = experiment_from_dict(json.loads(text), where="driver")
    connect(address=address)
    tuner = tune.Tuner(
        recipe_trainable(experiment),
        tune_config=tune.TuneConfig(
            search_alg=RecipeSearch(experiment),
            num_samples=-1,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name=Path(storage).name, storage_path=str(Path(storage).parent)),
    )
    tuner.fit()


if __name__ == "__main__":
    main()
