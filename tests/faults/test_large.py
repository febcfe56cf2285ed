"""Large but valid input stays usable. Bounds are generous: they tell minutes from seconds."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.tally import count

from autosearch.baselines import baseline
from autosearch.cli import main
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe
from autosearch.study.journal import FILE
from autosearch.study.journal_lines import encode

pytestmark = pytest.mark.soak

STEPS, BLOCKS, CANDIDATES = 1000, 60, 50_000


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds
    count("large inputs that were read in time")


def test_a_thousand_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    denoiser = ModelSpec("mixture").load().denoiser
    with within(30):
        recipe = baseline(f"ddim-trailing@{STEPS}", denoiser)
        path = tmp_path / "long.json"
        path.write_text(json.dumps(recipe.to_dict()))
        loaded = Recipe.load(path)
        plan = compile_recipe(loaded, denoiser)
    assert plan.nfe == STEPS
    with within(120):
        space = f"space.timesteps={{steps: [2, {STEPS}], min_gap: 0.5}}"
        arguments = ["run", "mixture", "--dry-run", "--set", space]
        assert main([*arguments, "--set", "baselines=[ddim-trailing@1000]"]) == 0
    assert "candidates" in capsys.readouterr().out


def test_sixty_blocks_of_three_sites(
    tmp_path: Path, random_dit: Callable[..., NetworkDenoiser]
) -> None:
    denoiser = random_dit(depth=BLOCKS)
    assert len(denoiser.sites) == 3 * BLOCKS
    data = baseline("ddim@50", denoiser).to_dict()
    rng = random.Random(0)
    leaves = [site.name for site in denoiser.sites if site.parent is not None]
    for number, step in enumerate(data["steps"]):
        if number:
            step["sites"] = {name: "reuse" for name in leaves if rng.random() < 0.5}
    path = tmp_path / "wide.json"
    path.write_text(json.dumps(data))
    with within(30):
        plan = compile_recipe(Recipe.load(path), denoiser)
    assert 0.3 < plan.forward_equivalents / 50 < 0.9


@pytest.fixture
def long(undisturbed: Path, tmp_path: Path) -> Path:
    """A study of so many candidates, as if every one were another."""
    lines = (undisturbed / FILE).read_text(encoding="ascii").splitlines()
    records = [json.loads(line)["record"] for line in lines]
    results = {record["id"]: record for record in records if record["type"] == "result"}
    asks = [record for record in records if record["type"] == "ask"]
    kept = [r for r in records if r["type"] in ("header", "reference", "cost", "scale")]
    made: list[dict[str, Any]] = list(kept)
    rng = random.Random(0)
    for number in range(CANDIDATES):
        ask = asks[number] if number < len(asks) else rng.choice(asks)
        result = results[ask["id"]]
        values = {
            name: {**entry, "value": entry["value"] * rng.uniform(0.9, 2) if entry["pseudo"] else
                   entry["value"]}
            for name, entry in result["values"].items()
        }  # fmt: skip
        made.append({**ask, "id": number, "identity": f"plan{number}", "told": 0})
        made.append({**result, "id": number, "values": values})
    made.append({"type": "stop", "reason": "budget"})
    directory = tmp_path / "long"
    directory.mkdir()
    written = (encode(record, n, "s") for n, record in enumerate(made))
    (directory / FILE).write_bytes(b"".join(written))
    return directory


def test_fifty_thousand_candidates(long: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with within(60):
        assert main(["status", str(long), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == CANDIDATES
    with within(60):
        assert main(["front", str(long), "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["cost"]["candidates"] == CANDIDATES
    assert any(point["on_front"] for point in table["points"])
    with within(60):
        assert main(["front", str(long), "--pick", "knee"]) == 0
