"""Runs that are killed with SIGKILL at random points."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.tally import count

CANDIDATES = 50
EXPERIMENT = {
    "model": {"name": "mixture", "dimension": 2, "components": 2},
    "space": {"timesteps": {"steps": [2, 6]}, "solver": {}},
    "objectives": ["fid", "nfe"],
    "baselines": ["ddim"],
    "samples": 100,
    "validation": {"samples": 100},
    "budget": {"candidates": CANDIDATES},
}


def killed(
    folder: Path, kills: int, *, candidates: int = CANDIDATES, least: float = 0.2
) -> dict[str, Any]:
    points = sorted(
        random.randint(round(least * candidates), round(0.8 * candidates)) for _ in range(kills)
    )
    result = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("driver.py")),
            "kill",
            json.dumps({**EXPERIMENT, "budget": {"candidates": candidates}}),
            str(folder / "killed"),
            *map(str, points),
        ],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert result.returncode == 0, (points, result.stderr)
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["kills"] == kills, points
    count("kills in process", kills)
    return found


def check(found: dict[str, Any], *, candidates: int = CANDIDATES) -> None:
    whole, other = found["whole"], found["killed"]
    assert other["asks"] == whole["asks"]
    assert len(other["asks"]) == candidates
    for front in (whole["front"], other["front"]):
        del front["cost"], front["study"]
    assert other["front"] == whole["front"]
    # One result for each candidate, and no evaluation that had ended was begun again: only those
    # that a kill cut short, at most one for each.
    assert sorted(result["id"] for result in other["results"]) == list(range(candidates))
    nominal = {ask["id"]: ask["nominal"] for ask in other["asks"]}
    assert all(r["forward_equivalents"] in (0, nominal[r["id"]]) for r in other["results"])
    assert set(Counter(whole["evaluations"]).values()) == {1}
    assert set(other["evaluations"]) == set(whole["evaluations"])
    assert len(other["evaluations"]) - len(whole["evaluations"]) <= found["kills"]


@pytest.mark.soak
def test_three_kills_change_nothing_and_cost_nothing(tmp_path):
    check(killed(tmp_path, 3))


@pytest.mark.soak
def test_sixty_kills_change_nothing_and_cost_nothing(tmp_path):
    check(killed(tmp_path, 60, candidates=120, least=0.0), candidates=120)
