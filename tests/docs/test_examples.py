"""A stranger's package, as the documentation shows it, is found through its entry points."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autosearch.errors import UserError
from autosearch.study.study import Study

# One process has all of these: they share a search.
pytestmark = pytest.mark.xdist_group("stranger")

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NAMES = {
    "models": {"rings"},
    "spaces": {"power_times"},
    "objectives": {"mean_gap", "early_steps"},
    "algorithms": {"climber"},
    "baselines": {"+bend"},
    "forms": {"adams_data"},
    "exports": {"csv"},
    "loggers": {"table"},
}
# Lists, trains, searches and exports.
CODE = """
import json, sys
from pathlib import Path
from autosearch.cli.listing import catalog
from autosearch.cli import main
kinds, experiment = json.loads(sys.argv[1]), sys.argv[2]
print(json.dumps({kind: [entry["name"] for entry in catalog(kind)] for kind in kinds}), flush=True)
from stranger.model import train
train(Path("rings.safetensors"), steps=300)
code = main(["run", experiment, "--out", "rings", "--json"])
code = code or main(["export", "rings", "--pick", "knee", "--format", "csv", "-o", "knee.csv"])
raise SystemExit(code)
"""


@dataclass(frozen=True)
class SearchOutcome:
    """What a process said that can import the package, and where it left its study."""

    listed: dict[str, list[str]]
    table: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module", params=["inprocess", pytest.param("ray", marks=pytest.mark.soak)])
def told(
    request: pytest.FixtureRequest, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> SearchOutcome:
    """One process, which first finds the names: nothing has imported the package by then."""
    folder = tmp_path_factory.mktemp("told")
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environment["AUTOSEARCH_EXECUTOR"] = request.param
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
    return SearchOutcome(json.loads(listed), json.loads(table), folder)


def test_its_names_are_listed(told: SearchOutcome) -> None:
    for kind, names in NAMES.items():
        assert names <= set(told.listed[kind])


def test_it_is_searched_validated_logged_and_read_again(told: SearchOutcome) -> None:
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
    assert len(searched) == 23
    for candidate in searched:
        times = [step["time"] for step in candidate.genome["steps"]]
        assert 3 <= len(times) <= 10
        assert times == sorted(times, reverse=True)
        assert times[0] == 999


def test_its_fit_is_a_baseline_and_its_export_a_table(told: SearchOutcome) -> None:
    study = Study.read(told.folder / "rings")
    (fitted,) = (c for c in study.candidates.values() if c.name == "ddim+bend@5")
    assert fitted.kind == "baseline"
    assert fitted.status == "ok"
    rows = list(csv.reader((told.folder / "knee.csv").open()))
    assert rows[0] == ["time", "order", "form"]
    assert len(rows) > 2


def test_a_recipe_with_its_form_is_refused_where_it_is_not(
    told: SearchOutcome, tmp_path: Path
) -> None:
    study = Study.read(told.folder / "rings")
    formed = [c for c in study.feasible if "adams_data" in json.dumps(c.genome)]
    assert formed
    with pytest.raises(UserError, match=r"form: unknown form 'adams_data'; ") as caught:
        study.recipe(formed[0])
    assert "\n" not in str(caught.value)
