"""Guidance from the command line: head selection on digits, and what is refused."""

import json
from pathlib import Path

import pytest

QUICK = (
    *("--set", "objectives=[precision, forwards]", "--set", "report=[class_accuracy]"),
    *("--set", "samples=100", "--set", "validation.samples=100"),
    *("--set", 'space.heads.heads=["block.3.attn:0", "block.3.attn:2"]'),
)


def test_heads_are_selected_shown_and_exported(cli, tmp_path: Path) -> None:
    directory = tmp_path / "heads"
    greedy = "algorithm={name: greedy, iterations: 1, top_k: 1}"
    result = cli("run", "headhunter", "--out", directory, *QUICK, "--set", greedy)
    assert result.code == 0, result.err
    assert "heads.png" in result.out
    before = (directory / "heads.png").read_bytes()
    (directory / "heads.png").unlink()
    assert cli("plot", directory).code == 0
    assert (directory / "heads.png").read_bytes().startswith(b"\x89PNG")
    assert len(before) > 5000
    assert cli("plot", directory, "-o", tmp_path / "picture.svg").code == 0
    assert (tmp_path / "picture-heads.svg").exists()
    table = cli("front", directory, "--json").data
    # The recipe without heads, which is the baseline, and each head alone.
    assert table["cost"]["candidates"] == 3
    assert {p["values"]["forwards"]["search"] for p in table["points"]} <= {5, 6}
    point = max(table["points"], key=lambda p: p["values"]["precision"]["search"])
    assert 0.5 < point["values"]["class_accuracy"]["validated"] <= 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ["headhunter", "--set", "space.heads.heads=[block.8.attn]"],
            ["space.heads.heads", "'block.8.attn'", "did you mean 'block."],
        ),
        (
            ["headhunter", "--set", 'space.heads.heads=["block.1.attn:6"]'],
            ["unknown head 'block.1.attn:6'"],
        ),
        (
            [
                "headhunter",
                "--set",
                "space.heads.first=[0.9, 1]",
                "--set",
                "space.heads.last=[0, 0.5]",
            ],
            ["space.heads", "the interval ends before it starts"],
        ),
        (
            [
                "guidance",
                "--set",
                "space.guidance.first=[0.7, 1]",
                "--set",
                "space.guidance.last=[0, 0.2]",
            ],
            ["space.guidance", "the interval ends before it starts"],
        ),
        (
            ["mixture", "--set", "space.guidance={}"],
            ["space.guidance", "also runs without its condition", "leave the family out"],
        ),
        (
            ["mixture", "--set", "space.guidance.rules=[classifier]"],
            ["has a classifier of its classes"],
        ),
        (["mixture", "--set", "space.heads={}"], ["space.heads", "a model with attention heads"]),
        (
            ["mixture", "--set", "objectives=[class_accuracy, nfe]"],
            ["'class_accuracy' needs labels, logits", "'mixture'"],
        ),
        (["mixture", "--set", "algorithm=greedy"], ["the space has none; use nsga2"]),
        (
            ["headhunter", "--set", "objectives=[clip_score, forwards]"],
            ["'clip_score' needs clip_score", "'digits'"],
        ),
        (
            ["headhunter", "--set", "model.rewards={clip_score: nowhere}"],
            ["model.rewards.prompts", "10 classes"],
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(cli, tmp_path: Path, arguments, parts) -> None:
    result = cli("run", *arguments, "--out", tmp_path / "study")
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    for part in parts:
        assert part in result.err
    assert not (tmp_path / "study").exists()


def test_a_recipe_with_a_head_that_the_model_lacks_is_one_line(cli, tmp_path: Path) -> None:
    recipe = {
        "version": 1,
        "model": {"family": "vp", "schedule": "linear", "prediction": "v"},
        "steps": [
            {"time": 999, "guidance": {"rule": "pag", "scale": 1, "heads": {"block.0.attn": [9]}}}
        ],
    }
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    result = cli("evaluate", path, "--samples", 400)
    assert result.code == 2
    assert "block.0.attn has heads 0 to 5, and no head 9" in result.err
    assert result.err.count("\n") == 1
