"""Formats for other tools: a line of sigmas, cache-dit's settings, a folder for diffusers."""

import json

import pytest

from autosearch.errors import UserError
from autosearch.export import find_format
from autosearch.export.sigmas import sigmas_data
from autosearch.recipe import Recipe

MODEL = {"family": "vp", "schedule": "scaled_linear", "prediction": "noise"}
TIMES = (900, 600, 400, 200)


def recipe(*steps, **rest) -> Recipe:
    made = [{"time": time, **step} for time, step in zip(TIMES, steps, strict=True)]
    return Recipe.from_dict({"version": 1, "model": MODEL, "steps": made, **rest})


def test_a_line_of_sigmas_reads_back(tmp_path):
    path = tmp_path / "sigmas.txt"
    plain = recipe({}, {}, {}, {})
    assert list(find_format("sigma-text").write(plain, path)) == []
    values = [float(text) for text in path.read_text(encoding="utf-8").split(",")]
    assert values == sigmas_data(plain)[0]["sigmas"]
    assert values[-1] == 0
    (line,) = find_format("sigma-text").write(recipe({"eta": 0.5}, {}, {}, {}), path)
    assert "eta" in line


def test_cache_dit_takes_a_mask_of_steps_and_an_order(tmp_path):
    path = tmp_path / "cache.json"
    acting = {"sites": {"block.0": "forecast:1", "block.1": "forecast:1"}}
    lines = find_format("cache-dit").write(recipe({}, {}, acting, acting), path)
    assert list(lines) == ["times and solver go by --format sigmas"]
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["cache_config"]["steps_computation_mask"] == [1, 1, 0, 0]
    assert data["cache_config"]["steps_computation_policy"] == "static"
    assert data["calibrator_config"] == {"taylorseer_order": 1}


def test_cache_dit_says_what_it_loses(tmp_path):
    path = tmp_path / "cache.json"
    one, two = {"sites": {"block.0": "reuse"}}, {"sites": {"block.0": "reuse", "b": "reuse"}}
    lines = find_format("cache-dit").write(recipe({}, one, {}, two, pruned=["block.2"]), path)
    assert "what differs from site to site" in lines[0]
    assert "sites that are skipped" in lines[0]
    assert json.loads(path.read_text(encoding="utf-8"))["calibrator_config"] is None


def test_what_has_no_place_in_a_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="caches nothing"):
        find_format("cache-dit").write(recipe({}, {}, {}, {}), tmp_path / "x.json")
    with pytest.raises(UserError, match="no pipeline of diffusers"):
        find_format("diffusers").write(recipe({}, {}, {}, {}), tmp_path / "x", {"name": "digits"})
