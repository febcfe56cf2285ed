"""Odd environments: the same study comes out, by command, whatever a shell or a container sets."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.tally import count

from autosearch.study.events import Asked, Evaluated, Validated
from autosearch.study.journal import read_journal

pytestmark = pytest.mark.soak

ODD: dict[str, dict[str, str | None]] = {
    "plain": {},
    "no home": {"HOME": None},
    "a home that cannot be written": {"HOME": "/proc/1"},
    "the C locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"},
    "a Turkish locale": {"LC_ALL": "tr_TR.UTF-8"},
    "a terminal of one column": {"COLUMNS": "1", "LINES": "1", "TERM": "dumb"},
    "another time zone": {"TZ": "Pacific/Kiritimati"},
    "no assertions": {"PYTHONOPTIMIZE": "2"},
    "many threads": {"OMP_NUM_THREADS": "64", "MKL_NUM_THREADS": "64"},
    "another hash seed": {"PYTHONHASHSEED": "12345"},
    "warnings are shown": {"PYTHONWARNINGS": "always"},
    "a Ray elsewhere": {"RAY_ADDRESS": "127.0.0.1:9"},
    "a path with a space": {"TMPDIR": "a folder"},
    "no path": {"PATH": ""},
}
COMMAND = "import sys, autosearch.cli; sys.exit(autosearch.cli.main())"
ARGUMENTS = ("--budget", "12", "--workers", "1", "--set", "samples=100", "--json")
ARGUMENTS += ("--set", "validation.samples=100", "--set", "baselines=[ddim@3,ddim@5]")


def searched(folder: Path, changes: dict[str, str | None]) -> dict[str, Any]:
    """What a small search by command finds."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
    environment.pop("AUTOSEARCH_EXECUTOR", None)
    for name, text in changes.items():
        environment.pop(name, None)
        if text is not None:
            environment[name] = text
    if "TMPDIR" in changes:
        environment["TMPDIR"] = str(folder / str(changes["TMPDIR"]))
        Path(environment["TMPDIR"]).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", "mixture", "--out", "study", *ARGUMENTS],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    table = json.loads(done.stdout)
    events = read_journal(folder / "study")
    return {
        "front": [(point["id"], point["on_front"]) for point in table["points"]],
        "asked": [event.identity for event in events if isinstance(event, Asked)],
        "values": [event.values for event in events if isinstance(event, Evaluated)],
        "fresh": [event.values for event in events if isinstance(event, Validated)],
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return searched(tmp_path_factory.mktemp("plain"), {})


@pytest.mark.parametrize("name", ODD)
def test_an_odd_environment_changes_nothing(tmp_path: Path, plain: dict[str, Any], name: str):
    assert searched(tmp_path, ODD[name]) == plain
    count("odd environments")
