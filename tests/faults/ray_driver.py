"""A process of its own for runs on Ray that are hurt.

``ray_driver.py cli FOLDER ARGUMENTS...`` is the command line with an evaluator that takes its time
and notes what it does in FOLDER; a file ``exit`` or ``hang`` there makes the next evaluation do so,
once, and ``slow`` makes all take longer.

``ray_driver.py hosts FOLDER EXPERIMENT`` runs studies on clusters of several nodes on this machine,
and prints what came of each as JSON.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle
from ray.cluster_utils import Cluster

from autosearch.cli import main
from autosearch.engine import session
from autosearch.engine.run import run_study
from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Executor, Outcome, SampleTask
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.experiment import experiment_from_dict
from autosearch.study.events import Asked, Evaluated
from autosearch.study.front import Front
from autosearch.study.journal import read_journal
from autosearch.study.progress import Progress, Snapshot
from autosearch.study.study import Study

LOG = "evaluations.log"
# Seconds that an evaluation takes at least.
PAUSE, SLOW = 0.15, 0.6


class Slow(ModelEvaluator):
    """Notes each evaluation that it begins, takes its time, and does harm when it finds a file."""

    def __init__(self, folder: Path, factory: Any) -> None:
        super().__init__(factory.args[0], **factory.keywords)
        self.folder = folder

    def evaluate(self, task: SampleTask) -> Outcome:
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
        line = f"{os.getpid()} {node} {task.plan.identity} {int(task.stream)} {task.blocks}\n"
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(line)
        time.sleep(SLOW if (self.folder / "slow").exists() else PAUSE)
        if self._asked("exit"):
            os._exit(1)
        if self._asked("hang"):
            time.sleep(600)
        return super().evaluate(task)

    def _asked(self, name: str) -> bool:
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True


def patch(folder: Path) -> None:
    """Let every run use the slow evaluator."""
    cloudpickle.register_pickle_by_value(sys.modules[Slow.__module__])

    def slow(factory: Any, **options: Any) -> Executor:
        return make_executor(functools.partial(Slow, folder, factory), **options)

    session.make_executor = slow  # type: ignore[assignment]


class Acting(Progress):
    """Does one thing after another in the main thread as candidates are done."""

    def __init__(self, acts: dict[int, Callable[[], object]]) -> None:
        self.acts = dict(acts)

    def update(self, snapshot: Snapshot) -> None:
        for due in [number for number in self.acts if snapshot.done >= number]:
            self.acts.pop(due)()


def summary(folder: Path) -> dict[str, Any]:
    """What a study came to, and which nodes began its evaluations."""
    out = folder / "study"
    events = read_journal(out)
    table = Front.of(Study.read(out)).to_dict()
    log = [line.split(" ", 2) for line in (folder / LOG).read_text().splitlines()]
    return {
        "front": {key: value for key, value in table.items() if key not in ("cost", "study")},
        "asks": [event.to_record() for event in events if isinstance(event, Asked)],
        "results": sorted(event.id for event in events if isinstance(event, Evaluated)),
        "failed": table["cost"]["failed"],
        "evaluations": [what for _, _, what in log],
        "nodes": sorted({node for _, node, _ in log}),
    }


def searched(
    folder: Path, data: dict[str, Any], workers: dict[str, Any], acts: Any = ()
) -> dict[str, Any]:
    folder.mkdir()
    patch(folder)
    experiment = experiment_from_dict({**data, "workers": workers}, where="hosts")
    progress = Acting(dict(acts))
    run_study(experiment, folder / "study", resume=False, progress=progress)
    assert not progress.acts, "the run ended before everything was done to it"
    return summary(folder)


def hosts(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The same study on one node, on two, while one leaves and another comes, while one joins."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        two = {"count": 2, "executor": "ray", "address": cluster.address}
        free = {**two, "count": "auto"}
        big = cluster.add_node(num_cpus=2)
        found = {"one": searched(folder / "one", data, two)}
        cluster.remove_node(big)
        stays, goes = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
        found["two"] = searched(folder / "two", data, two)
        came: list[Any] = []

        def come(name: str) -> None:
            came.append(cluster.add_node(num_cpus=1))
            # Its worker takes a while to load, within which the study must not end.
            (folder / name / "slow").touch()

        leave = functools.partial(cluster.remove_node, goes, allow_graceful=False)
        acts = {8: leave, 16: lambda: come("leaves")}
        found["leaves"] = searched(folder / "leaves", data, two, acts)
        found["leaves"]["came"] = [node.node_id for node in came]
        cluster.remove_node(came.pop())
        found["joins"] = searched(folder / "joins", data, free, {6: lambda: come("joins")})
        found["joins"]["came"] = [node.node_id for node in came]
        found["joins"]["stays"] = stays.node_id
        return found
    finally:
        cluster.shutdown()


def run() -> int:
    torch.set_num_threads(1)
    mode, folder, *rest = sys.argv[1:]
    if mode == "hosts":
        print(json.dumps(hosts(Path(folder), json.loads(rest[0]))))
        return 0
    patch(Path(folder))
    return main(rest)


if __name__ == "__main__":
    sys.exit(run())
