"""Caches by the command line: pictures, and wrong input in one line with exit code 2."""

import json
from pathlib import Path

import pytest

SMALL = (
    # The kernel distance is content with few samples.
    "--set",
    "objectives=[kid, macs]",
    "--set",
    "samples=200",
    "--set",
    "validation.samples=200",
    "--set",
    "space={named: {recipes: [ddim@4]}, cache: {}}",
    "--set",
    "baselines=[ddim@4, ddim+fora:2@4]",
    "--set",
    "algorithm.population=4",
)


@pytest.fixture
def model(cli) -> dict[str, object]:
    """The model key of the bundled digits."""
    from autosearch.diffusion.plan.plan import model_key
    from autosearch.models.bundled import DigitsModel

    return model_key(DigitsModel.load().denoiser).model_dump()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"sites": {"block.9.mlp": "reuse"}},
            "steps[1].sites: unknown site 'block.9.mlp'; did you mean 'block.",
        ),
        (
            {"sites": {"block.1": "forecast:7"}},
            "'forecast:7' asks for 8 features, and at most 5 are stored; use an order from 0 to 4",
        ),
        ({"sites": {"block.1": "reuze"}}, "unknown site action 'reuze'; valid: reuse, skip"),
        (
            {"gate": {"probe": "block.2", "threshold": 0.1, "covers": {"block.1": "reuse"}}},
            "'block.1' does not come after the probe 'block.2'",
        ),
    ],
)
def test_recipes_that_cannot_be(cli, tmp_path: Path, model, fields, message: str) -> None:
    path = tmp_path / "recipe.json"
    steps = [{"time": 900}, {"time": 500, **fields}]
    path.write_text(json.dumps({"version": 1, "model": model, "steps": steps}))
    result = cli("evaluate", path, "--samples", "400")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert message in result.err


def test_a_mask_of_the_wrong_shape(cli, tmp_path: Path) -> None:
    path = tmp_path / "mask.json"
    path.write_text(json.dumps([[1] * 12] * 20))
    result = cli("evaluate", f"baseline:ddim+mask:{path}@20", "--samples", "400")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert "expected 20 steps x 16 sites (block.0.attn to block.7.mlp), got 20 x 12" in result.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("space.cache.sites=[block.9]", "space.cache.sites: unknown site 'block.9'; did you mean"),
        ("space.cache.actions=[forecast:6]", "asks for 7 features, and at most 5 are stored"),
        ("space.prune={pattern: 2:3}", "space.prune.pattern"),
        ("baselines=[ddim+foro@6]", "unknown policy 'foro'; did you mean 'fora'?"),
        ("space.forecast={}", "forecast and cache both decide 'sites'; leave one out"),
    ],
)
def test_experiments_that_cannot_be(cli, tmp_path: Path, change: str, message: str) -> None:
    result = cli("run", "ecad", *SMALL, "--set", change, "--out", tmp_path / "study")
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert not (tmp_path / "study").exists()


def test_a_short_run_leaves_the_picture_of_its_pick(cli, tmp_path: Path) -> None:
    out = tmp_path / "study"
    result = cli("run", "ecad", *SMALL, "--budget", "8", "--out", out)
    assert result.code == 0, result.err
    drawn = cli("plot", out, "--pick", "best:macs", "-o", tmp_path / "cheap.png")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "cheap.png").stat().st_size > 5000
    table = json.loads((out / "front.json").read_text())
    cheapest = min(table["points"], key=lambda p: p["values"]["macs"]["search"])
    assert any(step.get("sites") for step in cheapest["recipe"]["steps"])
    picked = json.loads((out / "recipe.json").read_text())
    acting = any(step.get("sites") for step in picked["steps"])
    assert (out / "recipe.png").exists() == acting
    refused = cli("plot", out, "--pick", "nothing")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
