"""A stranger's package, as the documentation shows it, is found through its entry points."""

import configparser
import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autosearch.study.study import Study

# One process has all of these: they share a search.
pytestmark = pytest.mark.xdist_group("stranger")

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NAMES = {
    "models": {"rings"},
    "spaces": {"power_times"},
    "objectives": {"mean_gap", "early_steps"},
    "algorithms": {"climber"},
    "loggers": {"table"},
}
# Lists, trains and searches.
CODE = """
import json, sys
from pathlib import Path
from autosearch.cli.listing import catalog
from autosearch.cli import main
kinds, experiment = json.loads(sys.argv[1]), sys.argv[2]
print(json.dumps({kind: [entry["name"] for entry in catalog(kind)] for kind in kinds}), flush=True)
from stranger.model import train
train(Path("rings.safetensors"), steps=300)
raise SystemExit(main(["run", experiment, "--out", "rings", "--json"]))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks as if pip had installed the package there."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLES / "stranger", folder / "stranger")
    config = configparser.ConfigParser()
    config.read(EXAMPLES / "setup.cfg")
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    groups = config["options.entry_points"].items()
    lines = [f"[{group}]\n{names.strip()}\n" for group, names in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@dataclass(frozen=True)
class ReplayDenoiser:
    """What a process said that can import the package, and where it left its study."""

    listed: dict[str, list[str]]
    table: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def told(site: Path, tmp_path_factory: pytest.TempPathFactory) -> ReplayDenoiser:
    """One process, which first finds the names: nothing has imported the package by then."""
    folder = tmp_path_factory.mktemp("told")
    environment = {**os.environ, "PYTHONPATH": str(site), "AUTOSEARCH_EXECUTOR": "inprocess"}
    # More would wait for each other where cores are few.
    environment |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(list(NAMES)), str(EXAMPLES / "rings.yaml")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed, _, table = done.stdout.partition("\n")
    return ReplayDenoiser(json.loads(listed), json.loads(table), folder)


def test_its_names_are_listed(told: ReplayDenoiser) -> None:
    for kind, names in NAMES.items():
        assert names <= set(told.listed[kind])


def test_it_is_searched_validated_logged_and_read_again(told: ReplayDenoiser) -> None:
    table = told.table
    assert [o["name"] for o in table["objectives"]] == ["mean_gap", "nfe"]
    assert table["cost"]["candidates"] == 40
    for point in table["points"]:
        low, high = point["values"]["mean_gap"]["ci"]
        assert low < point["values"]["mean_gap"]["validated"] < high
        assert 0 <= point["values"]["early_steps"]["validated"] <= len(point["recipe"]["steps"])
    rows = list(csv.reader((told.folder / "rings" / "table.csv").open()))
    assert [int(row[0]) for row in rows] == list(range(40))
    # Who lacks the package can read the study's journal all the same.
    study = Study.read(told.folder / "rings")
    searched = [c for c in study.feasible if c.kind == "search"]
    assert len(searched) == 24
    for candidate in searched:
        times = [step.time for step in study.recipe(candidate).steps]
        assert 3 <= len(times) <= 10
        assert times == sorted(times, reverse=True)
        assert times[0] == 999
