"""Equal seed, equal front: whoever evaluates, however many, in whatever order."""

import functools
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from ray import cloudpickle

from autosearch.engine import session as session_module
from autosearch.engine.run import run_study
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.engine.workers.ray_pool import RayExecutor
from autosearch.study.front import Front
from autosearch.study.progress import Progress
from autosearch.testing.histories import read_records

# Workers cannot import this file: what is defined here travels with its code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
# Not that of this process, whether it was given one or drew it.
OTHER_SEED = 2 if os.environ.get("PYTHONHASHSEED") == "1" else 1


class Sizes(NamedTuple):
    """How much is searched, by how many workers, and in which fresh processes."""

    candidates: int
    workers: tuple[int, ...]
    hash_seeds: tuple[int, ...]


class Uneven(ModelEvaluator):
    """Evaluations of random lengths."""

    def evaluate(self, task):
        time.sleep(random.choice([0, 0, 0.005, 0.03]))
        return super().evaluate(task)


def result(study, directory: Path) -> str:
    """Asks and front as text; costs hold seconds."""
    table = {k: v for k, v in Front.of(study).to_dict().items() if k not in ("cost", "study")}
    asks = [record for record in read_records(directory) if record["type"] == "ask"]
    return json.dumps([asks, table], sort_keys=True)


def searched(tools, monkeypatch, directory: Path, *, candidates: int, workers: int | None) -> str:
    def make(factory, **options):
        if workers is None:
            return InProcessExecutor(factory)
        uneven = functools.partial(Uneven, factory.args[0])
        return RayExecutor(uneven, count=workers, num_cpus=0.5)

    monkeypatch.setattr(session_module, "make_executor", make)
    experiment = tools.experiment(budget={"candidates": candidates})
    study = run_study(experiment, directory, resume=False, progress=Progress())
    return result(study, directory)


def begun(tools, directory: Path, *, candidates: int, hash_seed: int) -> subprocess.Popen[str]:
    """A fresh process that searches with uneven evaluations."""
    driver = str(Path(__file__).with_name("driver.py"))
    experiment = json.dumps(tools.experiment(budget={"candidates": candidates}).to_dict())
    return subprocess.Popen(
        [sys.executable, driver, "run", experiment, str(directory)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(Sizes(110, (2,), (OTHER_SEED,)), id="two workers"),
        pytest.param(Sizes(110, (1, 2), (1, 2)), id="one and two workers", marks=pytest.mark.soak),
    ],
)
def test_equal_seeds_give_equal_fronts(ray_cluster, tools, monkeypatch, tmp_path, sizes):
    candidates, workers, hash_seeds = sizes
    processes = [
        begun(tools, tmp_path / f"fresh{seed}", candidates=candidates, hash_seed=seed)
        for seed in hash_seeds
    ]
    results = [
        searched(
            tools,
            monkeypatch,
            tmp_path / f"workers{count}",
            candidates=candidates,
            workers=count,
        )
        for count in (None, *workers)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        found = json.loads(output)
        table = {k: v for k, v in found["front"].items() if k not in ("cost", "study")}
        results.append(json.dumps([found["asks"], table], sort_keys=True))
    asks, table = json.loads(results[0])
    assert sum(ask["kind"] == "search" for ask in asks) >= candidates - 10
    assert table["hypervolume"]["validated"] is not None
    assert all(other == results[0] for other in results[1:])
    # With two workers, results did arrive out of order.
    records = read_records(tmp_path / "workers2")
    order = [record["id"] for record in records if record["type"] == "result"]
    assert order != sorted(order)
