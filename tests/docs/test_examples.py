"""A stranger's package, as the documentation shows it, is found through its entry points."""

import configparser
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autosearch.study import Study

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NAMES = {
    "models": {"rings"},
    "spaces": {"power_times"},
    "objectives": {"mean_gap", "early_steps"},
    "algorithms": {"climber"},
    "loggers": {"table"},
}


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


def python(site: Path, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "AUTOSEARCH_EXECUTOR": "inprocess"}
    # More would wait for each other where cores are few.
    environment |= {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_names_are_listed(site: Path, tmp_path: Path) -> None:
    code = (
        "import json; from autosearch.catalog import catalog; "
        f"print(json.dumps({{k: [e['name'] for e in catalog(k)] for k in {list(NAMES)}}}))"
    )
    listed = json.loads(python(site, tmp_path, "-c", code))
    for kind, names in NAMES.items():
        assert names <= set(listed[kind])


def test_it_is_searched_validated_logged_and_read_again(site: Path, tmp_path: Path) -> None:
    train = "from pathlib import Path; from stranger.model import train; "
    code = "from autosearch.cli import main; raise SystemExit(main({}))"
    python(site, tmp_path, "-c", train + "train(Path('rings.safetensors'), steps=300)")
    experiment = str(EXAMPLES / "rings.yaml")
    table = json.loads(
        python(site, tmp_path, "-c", code.format(["run", experiment, "--out", "rings", "--json"]))
    )
    assert [o["name"] for o in table["objectives"]] == ["mean_gap", "nfe"]
    assert table["cost"]["candidates"] == 40
    for point in table["points"]:
        low, high = point["values"]["mean_gap"]["ci"]
        assert low < point["values"]["mean_gap"]["validated"] < high
        assert 0 <= point["values"]["early_steps"]["validated"] <= len(point["recipe"]["steps"])
    rows = list(csv.reader((tmp_path / "rings" / "table.csv").open()))
    assert [int(row[0]) for row in rows] == list(range(40))
    # Who lacks the package can read the study's journal all the same.
    study = Study.read(tmp_path / "rings")
    searched = [c for c in study.feasible if c.kind == "search"]
    assert len(searched) == 24
    for candidate in searched:
        times = [step.time for step in study.recipe(candidate).steps]
        assert 3 <= len(times) <= 10
        assert times == sorted(times, reverse=True)
        assert times[0] == 999
