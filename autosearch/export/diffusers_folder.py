"""``diffusers``: a folder with the recipe, its scheduler, and programs that run it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autosearch.errors import UserError, unknown_name
from autosearch.export.recipe_json import write_recipe
from autosearch.export.stock_code import Target, stock_program
from autosearch.models.diffusers.families import PipelineFamily, family_of
from autosearch.models.diffusers.folder import PipelineFolder
from autosearch.models.diffusers.prompts import read_prompts
from autosearch.recipe import Recipe
from autosearch.recipe.describe import step_text
from autosearch.text import for_people, write_text

__all__ = ["write_diffusers"]

# Prepares a pipeline for guidance; the recipe says its scale.
_SOME_GUIDANCE = 2.0
_DTYPES = ("float32", "bfloat16", "float16")
_SIZES = ("height", "width", "max_sequence_length")

_EXAMPLE = '''\
"""Samples as the recipe beside this file says: pip install 'autosearch[diffusers]'."""

from pathlib import Path

import autosearch
import torch
from diffusers import DiffusionPipeline

HERE = Path(__file__).parent
MODEL = {model}
# The recipe says times, steps and the scale of guidance, whatever the call says.
CALL = {call}


def load(model=MODEL):
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=torch.{dtype})
    return autosearch.apply(HERE / "recipe.json", pipe)


if __name__ == "__main__":
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = load().to(device)(**CALL).images
    for i, image in enumerate(images):
        image.save(HERE / f"image{{i}}.png")
'''


def write_diffusers(recipe: Recipe, folder: Path, model: Mapping[str, Any]) -> Sequence[str]:
    """Write the folder; the result says whether stock diffusers can run the recipe too.

    Args:
        recipe: the recipe.
        folder: where the files go; made where it is missing.
        model: the settings of the model that the recipe was searched on.

    Raises:
        UserError: for a recipe of a model that is no pipeline of diffusers, or a place that cannot
            be written.
    """
    if model.get("name") != "diffusers":
        raise UserError(
            f"--format diffusers: this study is of model {model.get('name')!r}, which is no "
            "pipeline of diffusers; use json or sigmas"
        )
    configs = PipelineFolder(str(model["path"]), model.get("revision")).configs
    family = family_of(configs.network, where="model.path")
    path = str(model["path"])
    place = str(Path(path).resolve()) if Path(path).is_dir() else path
    dtype = str(model.get("dtype", "float32"))
    if dtype not in _DTYPES:
        raise unknown_name("dtype", dtype, _DTYPES, where="model.dtype")
    call = _call(model, family)
    _remove_earlier(recipe, folder)
    write_recipe(recipe, folder / "recipe.json")
    own = {key: value for key, value in configs.scheduler.items() if not key.startswith("_")}
    scheduler = {
        **own,
        "_class_name": "RecipeScheduler",
        "_diffusers_version": "0.0.0",
        "recipe": recipe.to_dict(),
    }
    text = json.dumps(scheduler, indent=1) + "\n"
    write_text(folder / "scheduler" / "scheduler_config.json", text)
    guided = any(rule.rule in ("cfg", "cfgpp") for step in recipe.steps for rule in step.guidance)
    prepared = {"guidance_scale": _SOME_GUIDANCE} if guided else {}
    example = _EXAMPLE.format(model=repr(place), call=repr({**prepared, **call}), dtype=dtype)
    write_text(folder / "example.py", example)
    stock = stock_program(recipe, Target(configs.pipeline, family, place, dtype, call))
    if isinstance(stock, str):
        write_text(folder / "stock.py", stock)
    write_text(folder / "README.md", _readme(recipe, place, configs.pipeline, stock))
    if isinstance(stock, str):
        return ["stock.py runs the same with diffusers alone"]
    return [f"diffusers alone cannot run it: {'; '.join(stock)}"]


def _remove_earlier(recipe: Recipe, folder: Path) -> None:
    """Remove what an earlier export wrote, or its programs drew, where that was of another recipe.

    ``stock.py`` goes in any case: it is written again where the recipe allows it.
    """
    (folder / "stock.py").unlink(missing_ok=True)
    try:
        before = Recipe.load(folder / "recipe.json")
    except UserError:
        return
    if before != recipe:
        for pattern in ("image[0-9]*.png", "stock[0-9]*.png", "recipe.png", "heads.png"):
            for path in folder.glob(pattern):
                path.unlink()


def _call(model: Mapping[str, Any], family: PipelineFamily) -> dict[str, Any]:
    """Arguments of the pipeline's call: what to sample, and in which size."""
    call: dict[str, Any] = {name: model[name] for name in _SIZES if model.get(name) is not None}
    call |= model.get("call") or {}
    if family.condition == "class":
        given = model.get("classes")
        return {"class_labels": given[:2] if isinstance(given, list) else [207, 360], **call}
    if family.condition == "none":
        return {"batch_size": 2, **call}
    if not family.guided and model.get("guidance_scale") is not None:
        # It is embedded.
        call["guidance_scale"] = model["guidance_scale"]
    split = read_prompts(model.get("prompts"), count=model.get("prompt_count"))
    return {"prompt": list(split.validation[:2]), **call}


def _code(text: str) -> str:
    """Text as code in Markdown, in one line, whatever it holds."""
    return f"`{' '.join(for_people(text).split()).replace('`', chr(39))}`"


def _readme(recipe: Recipe, model: str, pipeline: str, stock: str | Sequence[str]) -> str:
    lines = [
        f"# A recipe for {_code(model)}",
        "",
        f"{len(recipe.steps)} steps for {pipeline}:",
        "",
        *(f"{i + 1}. time {step.time:g}: {step_text(step)}" for i, step in enumerate(recipe.steps)),
        "",
        "| file | what it is |",
        "|---|---|",
        "| recipe.json | the recipe, as autosearch reads it |",
        "| example.py | runs it: what the search scored (`pip install 'autosearch[diffusers]'`) |",
        "| scheduler/ | its times and solver as a scheduler, `autosearch.RecipeScheduler`; "
        "guidance and sites need `autosearch.apply` |",
    ]
    if isinstance(stock, str):
        lines += ["| stock.py | runs the same with diffusers alone |", ""]
    else:
        lines += ["", "Diffusers alone cannot run it:", "", *(f"- {why}" for why in stock), ""]
    return "\n".join(lines)
