"""``run``: what it prints and what it leaves."""

import json
import re
import shutil
from pathlib import Path

import pytest

from autosearch.recipe import Recipe
from autosearch.study.study import Study

FILES = ("front.json", "front.txt", "front.png", "recipe.json", "samples.png")


@pytest.fixture
def copy(study: Path, tmp_path: Path) -> Path:
    """A study that a test may change."""
    return shutil.copytree(study, tmp_path / "small")


def test_everything_is_left_in_the_directory(study: Path) -> None:
    for name in FILES:
        assert (study / name).stat().st_size > 0
    table = json.loads((study / "front.json").read_text())
    assert table["cost"]["candidates"] == 20
    assert table["samples"]["validated"] == 200
    on_front = {json.dumps(p["recipe"]) for p in table["points"] if p["on_front"]}
    assert json.dumps(Recipe.load(study / "recipe.json").to_dict()) in on_front
    assert (study / "front.txt").read_text().startswith("small: front of fid, nfe on mixture")
    for picture in ("front.png", "samples.png"):
        assert (study / picture).read_bytes().startswith(b"\x89PNG")


def test_resume_raises_the_budget_and_prints_the_table(cli, small, copy: Path) -> None:
    result = cli("run", "mixture", "--out", copy, "--budget", "24", *small, "--resume")
    assert result.code == 0
    assert len(Study.read(copy).candidates) == 24
    assert result.out.startswith("small: front of fid, nfe on mixture")
    assert re.search(r"^time: .*search \d+\.\d s.*artifacts \d+\.\d s$", result.out, re.MULTILINE)
    assert "front.json, front.txt, recipe.json, front.png, samples.png" in result.out


def test_json_is_the_front_table_alone(cli, small, copy: Path) -> None:
    result = cli("run", "mixture", "--out", copy, "--budget", "20", *small, "--resume", "--json")
    assert result.code == 0
    assert result.data == cli("front", copy, "--json").data


def test_an_interrupted_run_says_how_to_go_on(
    cli, small, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(experiment: object, out: Path, **options: object) -> Study:
        found = Study.read(out)
        found.stops.append("interrupted")
        return found

    monkeypatch.setattr("autosearch.engine.run.run_study", stopped)
    result = cli("run", "mixture", "--out", copy, *small)
    assert result.code == 130
    assert f"--resume --out {copy}" in result.err


def test_the_default_directory_is_named_after_the_experiment(
    cli, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "model: mixture\nspace: {solver: {}}\nobjectives: [nfe]\nbudget: {candidates: 2}\n"
    )
    assert cli("run", "mine.yaml").code == 0
    assert Study.read(tmp_path / "runs" / "mine").stops == ["budget"]


def test_short_options_win_over_keys(cli, small, tmp_path: Path) -> None:
    result = cli(
        "run", "mixture", *small, "--budget", "12", "--workers", "1", "--seed", "5", "--dry-run",
        "--json",
    )  # fmt: skip
    assert result.data["candidates"] == 12
    assert result.data["workers"] == 1


def test_a_dry_run_says_what_it_takes_and_writes_nothing(
    cli, small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = cli("run", "mixture", *small, "--dry-run", "--json").data
    assert data["candidates"] == 150
    assert data["baselines"]["count"] == 9
    # Three baselines of 2, 3 and 4 steps on 100 samples.
    assert data["baselines"]["forward_equivalents"] == 3 * (2 + 3 + 4) * 100
    # Two references of 100 steps on the validation's samples.
    assert data["forward_equivalents"]["setup"] == 2 * 100 * 200
    assert data["space"]["dimensions"] == sum(f["dimensions"] for f in data["space"]["families"])
    assert data["model"]["branches"] == ["cond"]
    assert data["seconds"] > 0
    assert data["disk_bytes"] > 0
    text = cli("run", "mixture", *small, "--dry-run")
    for word in ("supports", "space", "baselines", "candidate", "budget", "time", "disk"):
        assert re.search(f"^{word} ", text.out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_forward_equivalents_counts_what_they_pay_for(cli, small) -> None:
    budget = 2 * 100 * 200 + 2700 + 3000
    data = cli(
        "run", "mixture", *small, "--set", f"budget={{forward_equivalents: {budget}}}",
        "--dry-run", "--json",
    ).data  # fmt: skip
    # More than a fifth of the budget would go into the reference: it gets the fewest samples.
    setup = data["forward_equivalents"]["setup"]
    assert setup == 2 * 100 * 100
    assert f"budget.forward_equivalents={5 * setup:.0f}" in data["advice"]
    # Baselines, and what is left over divided by the mean cost of a random recipe.
    each = data["candidate"]["forward_equivalents"]
    # From one evaluation, after an analytic first step, to four.
    assert 100 <= each <= 400
    assert data["candidates"] == 9 + int((budget - setup - 2700) / each)
