"""What stock diffusers can run, it runs the same, without this package."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from autosearch.export.diffusers_folder import write_diffusers

# Runs an exported program while this package cannot be imported.
DRIVER = """
import importlib.util
import sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "autosearch":
            raise ImportError("autosearch is not there")

sys.meta_path.insert(0, Guard())
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("stock", sys.argv[1])
stock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stock)
pipe = stock.load()
pipe.set_progress_bar_config(disable=True)
caught = []
step = pipe.scheduler.step
def caught_step(*args, **kwargs):
    found = step(*args, **kwargs)
    caught.append(found[0])
    return found
pipe.scheduler.step = caught_step
form = {} if type(pipe).__name__ in ("DiTPipeline", "DDPMPipeline") else {"output_type": "latent"}
pipe(**{**stock.CALL, **form}, generator=torch.Generator().manual_seed(0))
torch.save(caught[-1][:2], sys.argv[2])
assert not any(name.split(".")[0] == "autosearch" for name in sys.modules)
"""


def exported(tiny: Any, recipe: Any, folder: Path) -> list[str]:
    """Export as the study of a model of this family would; the prompts are those of the search."""
    options = dict(tiny.options)
    if tiny.text:
        # An export shows prompts of the validation.
        path = folder.parent / "prompts.txt"
        path.write_text("x\na cat\ny\na boat\n", encoding="utf-8")
        options["prompts"] = str(path)
    return list(write_diffusers(recipe, folder, {"name": "diffusers", **options}))


def stock_latents(folder: Path) -> torch.Tensor:
    driver, result = folder / "driver.py", folder / "latents.pt"
    driver.write_text(textwrap.dedent(DRIVER), encoding="utf-8")
    command = [sys.executable, str(driver), str(folder / "stock.py"), str(result)]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.load(result, weights_only=True)


def whole(tiny: Any, steps: list[dict[str, Any]], **rest: Any) -> Any:
    """At whole times, which multistep schedulers of diffusers need."""
    data = tiny.recipe(steps, **rest).to_dict()
    for step, time in zip(data["steps"], (702, 533, 371, 205, 40), strict=True):
        step["time"] = time
    return type(tiny.recipe(steps)).from_dict(data)


def layers(tiny: Any, scale: float, count: int) -> dict[str, Any]:
    """Whole layers perturbed."""
    chosen = list(tiny.model.denoiser.heads)[-count:]
    return {"rule": "pag", "scale": scale, "heads": dict.fromkeys(chosen, "all")}


TWO: list[dict[str, Any]] = [{"order": 2}] * 4 + [{}]


def dit_multistep(tiny: Any) -> Any:
    return whole(tiny, [{**step, **tiny.cfg(3.0)} for step in TWO])


def flux_cached(tiny: Any) -> Any:
    """Reused attention and whole blocks at every other step, forecast at even distances."""
    sites = {"block.1.attn": "forecast:1", "block.0": "output:1", "block.3": "output:1"}
    acting = {"sites": sites}
    data = tiny.recipe([{}, {}, acting, {}, acting]).to_dict()
    for step, time in zip(data["steps"], (0.9, 0.7, 0.5, 0.3, 0.1), strict=True):
        step["time"] = time
    return type(tiny.recipe([{}] * 5)).from_dict(data)


CASES = {
    "dit multistep": ("dit", dit_multistep),
    "dit pruned": ("dit", lambda tiny: whole(tiny, TWO, pruned=["block.1"])),
    "dit third order": (
        "dit",
        lambda tiny: whole(tiny, [{"order": order} for order in (1, 2, 3, 2, 1)]),
    ),
    "sd15 euler": ("sd15", lambda tiny: tiny.recipe([tiny.cfg(4.0)] * 5)),
    "sd21 heun": (
        "sd21",
        lambda tiny: whole(tiny, [{"order": 2, "form": "taylor"}] * 4 + [{}]),
    ),
    "sdxl perturbed layers": (
        "sdxl",
        lambda tiny: tiny.recipe(
            [{"guidance": [*tiny.cfg(3.0)["guidance"], layers(tiny, 2.0, 2)]}] * 5
        ),
    ),
    "sd15 perturbed alone": (
        "sd15",
        lambda tiny: tiny.recipe([{"guidance": [layers(tiny, 2.0, 1)]}] * 5),
    ),
    "pixart perturbed layers": (
        "pixart",
        lambda tiny: whole(tiny, [{**step, "guidance": [layers(tiny, 1.5, 1)]} for step in TWO]),
    ),
    "pixart pruned": ("pixart", lambda tiny: tiny.recipe([tiny.cfg(2.0)] * 5, pruned=["block.0"])),
    "sd3 skipped layers": (
        "sd3",
        lambda tiny: tiny.recipe(
            [tiny.cfg(4.0)]
            + [
                {
                    "guidance": [
                        *tiny.cfg(4.0)["guidance"],
                        {"rule": "weak", "scale": 3.0, "sites": {"block.1": "skip"}},
                    ]
                }
            ]
            * 2
            + [tiny.cfg(4.0)] * 2
        ),
    ),
    "sd3 pruned": ("sd3", lambda tiny: tiny.recipe([tiny.cfg(4.0)] * 5, pruned=["block.2"])),
    "flux euler": ("flux", lambda tiny: tiny.recipe([{}] * 5)),
    "flux pruned": ("flux", lambda tiny: tiny.recipe([{}] * 5, pruned=["block.1", "block.3"])),
    "flux cached": ("flux", flux_cached),
    "sana euler": ("sana", lambda tiny: tiny.recipe([tiny.cfg(4.0)] * 5)),
    "ddpm multistep": ("ddpm", lambda tiny: whole(tiny, TWO)),
}


def check(tiny: Any, recipe: Any, folder: Path, difference: Any) -> None:
    lines = exported(tiny, recipe, folder)
    assert lines == ["stock.py runs the same with diffusers alone"]
    assert difference(stock_latents(folder), tiny.ours(recipe)) < 1e-4


@pytest.mark.diffusers
def test_a_multistep_recipe_on_dit(tiny, tmp_path, difference):
    check(tiny("dit"), dit_multistep(tiny("dit")), tmp_path / "fast", difference)


@pytest.mark.diffusers
@pytest.mark.parametrize("case", list(CASES)[1:])
def test_each_thing_that_stock_diffusers_can_do(tiny, case, tmp_path, difference):
    name, make = CASES[case]
    check(tiny(name), make(tiny(name)), tmp_path / "fast", difference)


REFUSED = {
    "real times of higher order": (
        "sd15",
        lambda tiny: tiny.recipe([{"order": 2}] * 5),
        "take whole numbers as times only",
    ),
    "real times on dit": ("dit", lambda tiny: tiny.recipe([{}] * 5), "whole numbers"),
    "flow of higher order": (
        "flux",
        lambda tiny: tiny.recipe([{"order": 2}] * 5),
        "flow schedulers of higher order",
    ),
    "an interval": (
        "sd15",
        lambda tiny: tiny.recipe([{}, tiny.cfg(), tiny.cfg(), {}, {}]),
        "differs from step to step",
    ),
    "single heads": ("sdxl", lambda tiny: tiny.recipe([tiny.pag()] * 5), "no single heads"),
    "a cache": (
        "dit",
        lambda tiny: whole(tiny, [{}, {"sites": {"block.1": "reuse"}}, {}, {}, {}]),
        "takes no cache",
    ),
    "an irregular cache": (
        "flux",
        lambda tiny: tiny.recipe(
            [{}, {"sites": {"block.1.attn": "reuse"}}, {}, {"sites": {"block.0": "reuse"}}, {}]
        ),
        "regular steps",
    ),
    "noise": ("sd15", lambda tiny: tiny.recipe([{"eta": 0.5}] * 5), "adds this noise"),
    "an analytic step": (
        "sd15",
        lambda tiny: tiny.recipe([{"evaluate": "zero_x0"}, {}, {}, {}, {}]),
        "analytic step",
    ),
    "the first block of a dit": (
        "dit",
        lambda tiny: whole(tiny, TWO, pruned=["block.0"]),
        "first block",
    ),
    "parts": ("sd3", lambda tiny: tiny.recipe([{}] * 5, pruned=["block.0.mlp"]), "whole blocks"),
    "correctors": (
        "sd15",
        lambda tiny: whole(tiny, [{"corrector": "pseudo", "order": 2}] * 5),
        "orders, forms and correctors",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_rest_is_named(tiny, case, tmp_path):
    name, make, message = REFUSED[case]
    (line,) = exported(tiny(name), make(tiny(name)), tmp_path / "fast")
    assert line.startswith("diffusers alone cannot run it: ")
    assert message in line
    assert not (tmp_path / "fast" / "stock.py").exists()
    assert message in (tmp_path / "fast" / "README.md").read_text(encoding="utf-8")


@pytest.mark.diffusers
def test_the_folder_runs_as_it_is(tiny, tmp_path):
    """example.py, in a process of its own, and its scheduler from the saved configuration."""
    import autosearch

    dit = tiny("dit")
    recipe = dit.recipe([{}, dit.cfg(), dit.cfg(), {"sites": {"block.1": "reuse"}}, {}])
    exported(dit, recipe, tmp_path / "fast")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "fast" / "example.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(autosearch.__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in (tmp_path / "fast").glob("*.png")) == [
        "image0.png",
        "image1.png",
    ]
    loaded = autosearch.RecipeScheduler.from_pretrained(tmp_path / "fast" / "scheduler")
    assert [step.time for step in loaded.plan.steps] == [step.time for step in recipe.steps]
    text = (tmp_path / "fast" / "example.py").read_text(encoding="utf-8")
    assert re.search(r"'guidance_scale': 2\.0", text)
