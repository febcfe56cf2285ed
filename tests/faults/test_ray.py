"""Runs on Ray whose workers, machines or Ray itself go away, and the same on several machines."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tally import count

from autosearch.study.events import Asked, Evaluated
from autosearch.study.front import Front
from autosearch.study.journal import FILE, read_journal
from autosearch.study.study import Study

pytestmark = [pytest.mark.soak, pytest.mark.ray]

CANDIDATES = 40
EXPERIMENT = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 6]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim"],
    "samples": 100,
    "validation": {"samples": 100},
    "algorithm": {"name": "nsga2", "population": 8},
    "budget": {"candidates": CANDIDATES},
}
DRIVER = Path(__file__).with_name("ray_driver.py")
CLUSTER = Path(__file__).with_name("cluster_driver.py")
APART = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
LOG = "evaluations.log"


def summary(directory: Path) -> dict[str, Any]:
    events = read_journal(directory)
    results = [event.id for event in events if isinstance(event, Evaluated)]
    assert len(set(results)) == len(results)
    table = Front.of(Study.read(directory)).to_dict()
    return {
        "front": {key: value for key, value in table.items() if key not in ("cost", "study")},
        "asks": [event.to_record() for event in events if isinstance(event, Asked)],
        "results": sorted(results),
        "failed": table["cost"]["failed"],
    }


def environment(executor: str) -> dict[str, str]:
    left = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**left, "AUTOSEARCH_EXECUTOR": executor, "OMP_NUM_THREADS": "1"}


def command(folder: Path, *, resume: bool = False) -> list[str]:
    (folder / "case.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    arguments = ["run", str(folder / "case.yaml"), "--out", str(folder / "study"), "--set"]
    arguments += ["workers={count: 2, cpus: 0.5, time_limit: 20}"]
    arguments += ["--resume"] if resume else []
    return [sys.executable, str(DRIVER), "cli", str(folder), *arguments]


@contextmanager
def started(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run on a Ray of its own, in a group of its own."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        command(folder),
        env=environment("ray"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def go_on(folder: Path) -> None:
    """Resume in one process, without Ray."""
    done = subprocess.run(
        command(folder, resume=True),
        env=environment("inprocess"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def until_results(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    path = folder / "study" / FILE
    end = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b'"type":"result"') < count:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.02)


def evaluations(folder: Path) -> list[str]:
    return [line.split(" ", 2)[2] for line in (folder / LOG).read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same study in one process, undisturbed."""
    folder = tmp_path_factory.mktemp("ray") / "whole"
    folder.mkdir()
    done = subprocess.run(
        command(folder), env=environment("inprocess"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(Counter(evaluations(folder)).values()) == {1}
    return {**summary(folder / "study"), "evaluations": evaluations(folder)}


def check(folder: Path, whole: dict[str, Any], *, lost: int) -> None:
    found = summary(folder / "study")
    assert found == {key: whole[key] for key in found}
    begun = evaluations(folder)
    assert set(begun) == set(whole["evaluations"])
    assert len(begun) - len(whole["evaluations"]) <= lost


def said(err: str, *, words: str) -> str:
    """The line with these words; nothing on standard error looks like a traceback."""
    assert "Traceback" not in err, err
    lines = [line for line in err.splitlines() if words in line]
    assert len(lines) == 1, err
    return lines[0]


def test_workers_that_are_killed_die_or_hang(tmp_path, whole):
    folder, kills = tmp_path / "a", 0
    with started(folder) as process:
        for point in range(2, 30, 3):
            until_results(folder, point, process)
            if point in (8, 17):
                (folder / ("exit" if point == 8 else "hang")).touch()
                continue
            pids = [int(line.split()[0]) for line in (folder / LOG).read_text().splitlines()]
            try:
                os.kill(random.choice(pids[-2:]), signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                continue
        _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert kills >= 5
    assert "worker died" in err
    assert said(err, words="ran for longer than 20 s").endswith("its evaluation is begun again")
    check(folder, whole, lost=kills + 2)
    count("kills of workers on Ray", kills)
    count("workers on Ray that ended or hung", 2)


def test_ray_that_is_stopped_under_a_run(tmp_path, whole):
    folder = tmp_path / "a"
    with started(folder) as process:
        until_results(folder, 12, process)
        (folder / "slow").touch()  # the run must not end before Ray does
        listed = subprocess.run(
            ["ps", "-ww", "--ppid", str(process.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=True,
        )
        for line in listed.stdout.splitlines():
            pid, text = line.split(None, 1)
            if "/gcs_server" in text or "/raylet/raylet" in text:
                os.kill(int(pid), signal.SIGTERM)  # as `ray stop` does
        start = time.monotonic()
        out, err = process.communicate(timeout=200)
        took = time.monotonic() - start
    assert process.returncode == 1, err
    assert out == ""
    line = said(err, words="Ray has ended under this run")
    assert line.startswith("autosearch: workers: ")
    assert "continue with --resume" in line
    assert took < 55  # Ray itself would take a minute, and end the process in its own way
    (folder / "slow").unlink()
    go_on(folder)
    check(folder, whole, lost=4)
    count("times that Ray was stopped under a run")


@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_to_a_run_on_ray(tmp_path, whole, number, group, times):
    folder = tmp_path / "a"
    with started(folder) as process:
        until_results(folder, 12, process)
        for _ in range(times):
            # A terminal sends it to all processes of a command, Ray's among them.
            (os.killpg if group else os.kill)(process.pid, number)
            time.sleep(0.02)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    said(err, words="finishing what is in flight")
    if times == 1:
        assert "continue with --resume" in err
        study = Study.read(folder / "study")
        assert study.stops == ["interrupted"]
        assert all(candidate.finished for candidate in study.candidates.values())
    else:
        said(err, words="autosearch: interrupted")
    go_on(folder)
    check(folder, whole, lost=0 if times == 1 else 4)
    count("signals to runs on Ray", times)


def separable() -> bool:
    """Whether machines can have networks and processes of their own here."""
    probe = [*APART, "ip", "link", "add", "switch", "type", "bridge"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def test_a_cluster_of_machines_with_networks_of_their_own(whole):
    """What docs/cluster.md says, given as commands; on one network where there can be no others."""
    with tempfile.TemporaryDirectory(prefix="cluster") as short:  # the paths of sockets are bounded
        check_cluster(Path(short), whole, apart=separable())


def check_cluster(folder: Path, whole: dict[str, Any], *, apart: bool) -> None:
    command = [sys.executable, str(CLUSTER), str(folder), json.dumps(EXPERIMENT)]
    done = subprocess.run(
        [*APART, *command] if apart else [*command, "--one"],
        env=environment("ray"),
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    refusals = {
        "no token": "asks for a token; set RAY_AUTH_TOKEN to the one that it was started with",
        "wrong token": "asks for another token than the one that is set here; set RAY_AUTH_TOKEN",
        "too many": "no room for 3 of 1 CPUs and 0 GPUs each: this cluster has 2 CPUs",
    }
    if apart:
        refusals["no part of it"] = "is no part of the Ray cluster at"
    for name, words in refusals.items():
        refused = found[name]
        assert (refused["code"], refused["out"]) == (2, ""), refused
        assert words in said(refused["err"], words="autosearch: workers"), name
        assert refused["err"].count("\n") == 1, refused["err"]
    assert not found["left"]  # nothing is on disk before there are workers
    search = found["search"]
    assert search["code"] == 0, search["err"]
    words = "has left with its machine; what it was evaluating is evaluated again"
    said(search["err"], words=words)
    study = summary(folder / "desk" / "study")
    assert study == {key: whole[key] for key in study}
    log = [line.split(" ", 2) for line in (folder / "shared" / LOG).read_text().splitlines()]
    assert {what for _, _, what in log} == set(whole["evaluations"])
    # One evaluation was in flight on the machine that was lost; three machines took part.
    assert len(log) - len(whole["evaluations"]) <= 1
    assert len({node for _, node, _ in log}) == 3
    count("machines of a cluster that left or joined under a run", 2)


def test_the_same_on_several_machines(tmp_path):
    done = subprocess.run(
        [sys.executable, str(DRIVER), "hosts", str(tmp_path), json.dumps(EXPERIMENT)],
        env={**environment("ray"), "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    one = found["one"]
    assert [len(found[name]["nodes"]) for name in ("one", "two", "leaves", "joins")] == [1, 2, 3, 2]
    for name, other in found.items():
        for key in ("front", "asks", "results", "failed"):
            assert other[key] == one[key], (name, key)
        assert set(other["evaluations"]) == set(one["evaluations"]), name
        # One worker's evaluation was in flight on the machine that left.
        lost = len(other["evaluations"]) - len(one["evaluations"])
        assert lost <= (1 if name == "leaves" else 0), name
    for name in ("leaves", "joins"):
        assert set(found[name]["came"]) <= set(found[name]["nodes"]), name
    assert found["joins"]["stays"] in found["joins"]["nodes"]
    count("machines of a cluster that left or joined under a run", 2)
