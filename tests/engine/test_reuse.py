"""Whole studies with reuse of network outputs: the same journal but for what was executed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.records import read_records

from autosearch.engine import session as session_module
from autosearch.engine.run import run_study
from autosearch.engine.workers.base import Executor, Outcome, Task
from autosearch.engine.workers.inprocess import Runner
from autosearch.errors import UserError
from autosearch.experiment import Experiment, experiment_from_dict, load_experiment
from autosearch.study.journal_lines import encode
from autosearch.study.progress import Progress
from autosearch.study.study import Study

# What may differ: how much was executed, by whom, and how long it took.
VARYING = (
    "forward_equivalents",
    "seconds",
    "proposing",
    "elapsed",
    "worker",
    "experiment",
    "environment",
)

DIGITS: dict[str, Any] = {
    "model": "digits",
    # The kernel distance is content with few samples.
    "objectives": ["kid", "macs"],
    "samples": 200,
    "validation": {"samples": 200},
    "workers": {"executor": "inprocess"},
}
# Children from the start: random recipes have little in common.
BREEDING = {"name": "nsga2", "population": 8, "initial": 0, "fresh": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "solvers": {
        "space": {"named": {"recipes": ["ddim@3"], "solver": False}, "solver": {"eta": 0.5}},
        "baselines": ["ddim@3"],
        "budget": {"candidates": 5},
    },
    "gates": {
        "space": {"named": {"recipes": ["ddim@4"]}, "gate": {"threshold": [0.1, 0.5]}},
        "baselines": ["ddim@4", "ddim+fbc:0.2@4"],
        "budget": {"candidates": 4},
    },
}


class Mortal(Executor):
    """Three workers with a store each, in this process; tasks go to any, and some workers die."""

    def __init__(self, factory: Any, *, seed: int) -> None:
        self._factory = factory
        self._rng = np.random.default_rng(seed)
        self._workers = [self._begun(i) for i in range(3)]
        self._queue: list[Task] = []

    def _begun(self, i: int) -> Runner:
        return Runner(self._factory, name=f"worker-{i}")

    @property
    def size(self) -> int:
        return len(self._workers)

    def submit(self, task: Task) -> None:
        self._queue.append(task)

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        if not self._queue:
            return []
        task = self._queue.pop(int(self._rng.integers(min(3, len(self._queue)))))
        worker = int(self._rng.integers(3))
        if self._rng.random() < 0.2:
            self._workers[worker] = self._begun(worker)
        return [self._workers[worker].run(task)]

    def close(self) -> None:
        self._queue.clear()


def records(directory: Path, *, ordered: bool = True) -> list[dict[str, Any]]:
    found = [
        {key: value for key, value in record.items() if key not in VARYING}
        for record in read_records(directory)
        if record["type"] not in ("header", "phase", "resume")
    ]
    return found if ordered else sorted(found, key=lambda r: (r["type"], r.get("id", -1)))


SOAKED = {"solvers", "gates"}


def searched(experiment: Experiment, out: Path, keep: Any) -> Study:
    workers = {**experiment.to_dict()["workers"], "call_cache": keep, "executor": "inprocess"}
    changed = experiment_from_dict({**experiment.to_dict(), "workers": workers}, where="test")
    return run_study(changed, out, resume=False, progress=Progress())


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.soak if name in SOAKED else ()) for name in CASES],
)
def test_journals_on_digits_are_equal(tmp_path: Path, name: str) -> None:
    experiment = experiment_from_dict(
        {**DIGITS, **CASES[name], "algorithm": BREEDING}, where="test"
    )
    off = searched(experiment, tmp_path / "off", "off")
    sparing = searched(experiment, tmp_path / "all", 2**30)
    assert records(tmp_path / "all") == records(tmp_path / "off")
    assert sparing.executed < off.executed
    assert sparing.nominal == off.nominal
    assert sparing.planned == off.planned


@pytest.mark.parametrize(
    "keys",
    [
        {},
        pytest.param({"rungs": [100, 200, 400]}, marks=pytest.mark.soak),
        pytest.param({"budget": {"forward_equivalents": 50_000}}, marks=pytest.mark.soak),
        pytest.param(
            {"objectives": ["teacher_mse", "nfe"], "space": {"timesteps": {"steps": [2, 6]}}},
            marks=pytest.mark.soak,
        ),
    ],
)
def test_journals_on_the_mixture_are_equal(tmp_path: Path, tools, monkeypatch, keys) -> None:
    given = {"budget": {"candidates": 50}, "algorithm": BREEDING, "lag": 4, **keys}
    experiment = tools.experiment(**given)
    off = searched(experiment, tmp_path / "off", "off")
    sparing = searched(experiment, tmp_path / "auto", "auto")
    assert records(tmp_path / "auto") == records(tmp_path / "off")
    assert sparing.executed < off.executed
    assert sparing.spent < off.spent
    assert sparing.nominal_spent == pytest.approx(off.nominal_spent)
    for candidate in sparing.candidates.values():
        assert candidate.executed <= off.candidates[candidate.id].executed

    monkeypatch.setattr(
        session_module, "make_executor", lambda factory, **options: Mortal(factory, seed=1)
    )
    several = searched(experiment, tmp_path / "several", "auto")
    unordered = [records(tmp_path / name, ordered=False) for name in ("several", "off")]
    assert unordered[0] == unordered[1]
    assert sparing.executed <= several.executed < off.executed


def test_the_setting_may_change_when_a_study_is_resumed(tmp_path: Path, tools) -> None:
    before = {"executor": "inprocess", "call_cache": "off"}
    first = tools.experiment(budget={"candidates": 6}, workers=before)
    run_study(first, tmp_path / "s", resume=False, progress=Progress())
    again = {"executor": "inprocess", "call_cache": 1_000_000}
    more = tools.experiment(budget={"candidates": 9}, workers=again)
    study = run_study(more, tmp_path / "s", resume=True, progress=Progress())
    assert len(study.candidates) == 9


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", "off"), ("auto", "auto"), ("on", "auto"), ("1000000", 1_000_000)],
)
def test_how_the_setting_is_written(text: str, value: Any) -> None:
    experiment = load_experiment("mixture", [f"workers.call_cache={text}"])
    assert experiment.workers.call_cache == value
    assert load_experiment("mixture").workers.call_cache == "auto"


@pytest.mark.parametrize("text", ["0", "-5", "some", "1.5"])
def test_what_the_setting_cannot_be(text: str) -> None:
    with pytest.raises(UserError, match=r"workers\.call_cache"):
        load_experiment("mixture", [f"workers.call_cache={text}"])


def test_the_older_name_of_the_setting_goes_on_to_work(tmp_path: Path) -> None:
    old = {"executor": "inprocess", "trajectories": "off"}
    path = tmp_path / "old.yaml"
    path.write_text("model: mixture\nspace: {timesteps: {}}\nobjectives: [nfe]\nworkers: ")
    with path.open("a") as file:
        file.write(json.dumps(old) + "\n")
    assert load_experiment(str(path)).workers.call_cache == "off"
    for later in ("workers.trajectories=7", "workers={trajectories: 7}", "workers.call_cache=7"):
        assert load_experiment(str(path), [later]).workers.call_cache == 7
    texts = ["workers.trajectories=off", "workers.call_cache=auto"]
    assert load_experiment("mixture", texts).workers.call_cache == "auto"
    assert load_experiment("mixture", texts[::-1]).workers.call_cache == "off"


def test_a_study_whose_header_has_the_older_name_is_resumed(tmp_path: Path, tools) -> None:
    workers = {"executor": "inprocess", "call_cache": "off"}
    first = tools.experiment(budget={"candidates": 6}, workers=workers)
    run_study(first, tmp_path / "s", resume=False, progress=Progress())
    path = tmp_path / "s" / "journal.jsonl"
    header, *rest = path.read_bytes().splitlines(keepends=True)
    line = json.loads(header)
    settings = line["record"]["experiment"]["workers"]
    settings["trajectories"] = settings.pop("call_cache")
    line["record"]["overrides"] = ["workers.trajectories=off"]
    path.write_bytes(encode(line["record"], 0, line["study"]) + b"".join(rest))

    study = run_study(first, tmp_path / "s", resume=True, progress=Progress())
    assert study.experiment.workers.call_cache == "off"
    more = tools.experiment(budget={"candidates": 9}, workers=workers)
    study = run_study(more, tmp_path / "s", resume=True, progress=Progress())
    assert len(study.candidates) == 9
    assert study.header.experiment["workers"]["call_cache"] == "off"
    assert "trajectories" not in study.header.experiment["workers"]
