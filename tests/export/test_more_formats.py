"""Formats for other tools: a line of sigmas, cache-dit's settings, a folder for diffusers."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from autosearch.errors import UserError
from autosearch.export import find_format
from autosearch.export.diffusers_folder import write_diffusers
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


# -- a folder that is written for a stranger's study --------------------------------------------


def saved(folder: Path, **index: Any) -> Path:
    """The configurations of a DiT, without weights."""
    files = {
        "model_index.json": {
            "_class_name": "DiTPipeline",
            "transformer": ["diffusers", "DiTTransformer2DModel"],
            **index,
        },
        "transformer/config.json": {"_class_name": "DiTTransformer2DModel"},
        "scheduler/scheduler_config.json": {"_class_name": "DDIMScheduler"},
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(data))
    return folder


HARM = ['"""\nimport os', "'); import os; ('", "{0.__class__}", "\\", "`\n# x\n<script>", "\x1b[2J"]


@pytest.mark.parametrize("text", HARM)
def test_text_of_a_study_in_programs_is_a_value(tmp_path: Path, text: str) -> None:
    folder = saved(tmp_path / f"model {text.replace('/', '')}")
    call = {"output_type": text, text: [text, {"x": text}]}
    model = {"name": "diffusers", "path": str(folder), "classes": [1, 2], "call": call}
    write_diffusers(recipe({}, {}, {}, {}), tmp_path / "out", model)
    for name in ("example.py", "stock.py"):
        tree = ast.parse((tmp_path / "out" / name).read_text(encoding="utf-8"))
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id in ("MODEL", "CALL")
        }
        assert values["MODEL"] == str(folder)
        assert values["CALL"].items() >= call.items()
        kinds = {type(node) for node in tree.body}
        assert kinds == {ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.If}
    title, _, rest = (tmp_path / "out" / "README.md").read_text().partition("\n")
    assert title.startswith("# A recipe for `")
    assert title.endswith("`")
    assert "<script>" not in rest
    assert "\x1b" not in title


@pytest.mark.parametrize("dtype", ["float64", "x)\nimport os", "", "float32 "])
def test_a_dtype_is_one_of_three(tmp_path: Path, dtype: str) -> None:
    model = {"name": "diffusers", "path": str(saved(tmp_path / "model")), "dtype": dtype}
    with pytest.raises(UserError, match=r"model\.dtype: unknown dtype"):
        write_diffusers(recipe({}, {}, {}, {}), tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


def test_what_an_earlier_export_left_goes(tmp_path: Path) -> None:
    model = {"name": "diffusers", "path": str(saved(tmp_path / "model")), "classes": [1, 2]}
    out, made = tmp_path / "out", ("image0.png", "stock1.png", "recipe.png", "heads.png")

    def write(one: Recipe) -> set[str]:
        write_diffusers(one, out, model)
        return {path.name for path in out.iterdir()}

    first = recipe({}, {}, {}, {})
    plain = write(first)
    assert "stock.py" in plain
    for name in (*made, "mine.png"):
        (out / name).touch()
    assert write(first) == {*plain, *made, "mine.png"}
    # Stock diffusers cannot run the second one.
    assert write(recipe({"eta": 0.5}, {}, {}, {})) == {*plain, "mine.png"} - {"stock.py"}
