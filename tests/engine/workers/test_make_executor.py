import importlib.util
import subprocess
import sys

import pytest

from autosearch.engine.workers import make_executor
from autosearch.engine.workers.base import Evaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import UserError

ONE = {"count": 1, "cpus": 1.0, "gpus": 0.0}


def factory() -> Evaluator:
    raise NotImplementedError


@pytest.fixture(autouse=True)
def _no_override(monkeypatch):
    monkeypatch.delenv("AUTOSEARCH_EXECUTOR", raising=False)


def test_one_worker_runs_in_this_process():
    assert isinstance(make_executor(factory, **ONE), InProcessExecutor)


def test_the_environment_decides(monkeypatch, caplog):
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
    executor = make_executor(factory, count=4, cpus=1.0, gpus=0.0, kind="ray")
    assert isinstance(executor, InProcessExecutor)
    assert "in this process" in caplog.text
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "rya")
    with pytest.raises(UserError, match=r"AUTOSEARCH_EXECUTOR: unknown executor 'rya'.*'ray'"):
        make_executor(factory, **ONE)


def test_without_ray_there_is_one_worker_here(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    executor = make_executor(factory, count="auto", cpus=1.0, gpus=0.0)
    assert isinstance(executor, InProcessExecutor)
    with pytest.raises(UserError, match=r"pip install 'ray\[tune\]'"):
        make_executor(factory, **ONE, kind="ray")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 5}, "no room for 5 .* has 4 CPUs and 2 GPUs, enough for 4; lower workers.count"),
        ({"gpus": 1.0, "count": 3}, "no room for 3 .* enough for 2"),
        ({"gpus": 0.6, "count": 3}, "enough for 2"),
        ({"cpus": 8.0, "count": "auto"}, "no room for one of 8 CPUs"),
        ({"count": 0}, "workers.count: 0 is too few"),
        ({"gpus": 1.5}, "workers.gpus: 1.5 per worker is not possible"),
        ({"cpus": -1.0}, "workers.cpus: -1 per worker is not possible"),
        ({"cpus": 0.0}, "both 0"),
        ({"cpus": 0.00001}, r"workers.cpus: 1e-05 per worker is less than Ray can give"),
        ({"gpus": 0.00009}, r"workers.gpus: 9e-05 .*use at least 0.0001"),
    ],
)
def test_more_than_there_is_gets_an_error_at_once(ray_cluster, changes, message):
    with pytest.raises(UserError, match=message):
        make_executor(factory, **{**ONE, **changes}, kind="ray")


def test_auto_fills_what_is_there(ray_cluster):
    from autosearch.engine.workers.ray_cluster import worker_count

    assert worker_count("auto", cpus=2.0, gpus=0.0) in (1, 2)  # 1 while others still run
    assert worker_count("auto", cpus=0.1, gpus=0.5) <= 4
    assert worker_count("auto", cpus=0.1, gpus=0.0, most=3) <= 3
    assert worker_count(4, cpus=0.5, gpus=0.5, most=3) == 4
    assert worker_count("auto", cpus=0.0001, gpus=0.0) <= 16  # not 40,000 processes


def test_room_that_others_hold_gets_an_error_not_a_hang(ray_cluster, monkeypatch):
    from autosearch.engine.workers import ray_cluster as cluster

    held = cluster.reserve(2, cpus=0.5, gpus=1.0)
    monkeypatch.setattr(cluster, "_RESERVE_SECONDS", 0.5)
    with pytest.raises(UserError, match="0 GPUs are free"):
        make_executor(factory, count=1, cpus=0.5, gpus=1.0, kind="ray")
    cluster.ray.util.remove_placement_group(held)


def test_ray_is_not_imported_before_it_is_used():
    code = "import sys, autosearch, autosearch.engine.workers; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
