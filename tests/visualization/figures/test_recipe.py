"""The picture of a recipe, and what it is made of."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.recipe import Recipe
from autosearch.visualization.figures import acts, recipe_figure, save_figure
from autosearch.visualization.figures.recipe import COLOURS, cells


@pytest.fixture(scope="module")
def digits() -> Denoiser:
    return DigitsModel.load().denoiser


def recipe(digits: Denoiser, name: str, **changes: Any) -> Recipe:
    data = baseline(name, digits).to_dict()
    for place, change in changes.items():
        data["steps"][int(place.removeprefix("step"))].update(change)
    return Recipe.from_dict(data)


def plan(digits: Denoiser, name: str, **changes: Any) -> Plan:
    return compile_recipe(recipe(digits, name, **changes), digits)


def kinds(found: Plan, digits: Denoiser) -> dict[str, list[str]]:
    """Each panel's rows as words: the first letter of each cell, or its mark."""
    words = {}
    for name, rows in cells(found, digits.sites).items():
        words[name] = ["".join((c.mark or c.kind[0]) if c else " " for c in row) for row in rows]
    return words


def test_cells_are_what_the_innermost_sites_do(digits: Denoiser) -> None:
    found = plan(
        digits,
        "ddim+drop:7@4",
        step1={"sites": {"block.0": "reuse", "block.1.mlp": "reuse"}},
        step2={"sites": {"block.2..block.4": "forecast:1", "block.6.attn": "forecast:1"}},
    )
    rows = kinds(found, digits)["cond"]
    assert rows[:4] == ["crcc", "crcc", "cccc", "crcc"]
    assert rows[4:10] == ["cc1c"] * 6
    assert rows[12:14] == ["cc1c", "cccc"]
    assert rows[14:] == ["ssss"] * 2
    assert acts(found)
    assert not acts(plan(digits, "ddim@4"))


def test_gates_and_their_probes(digits: Denoiser) -> None:
    rows = kinds(plan(digits, "ddim+cgtaylor:0.1:1:1:2@5"), digits)["cond"]
    assert rows[:2] == ["cc??c"] * 2
    assert rows[2:] == ["ccggc"] * 14


def test_branches_that_do_alike_share_a_panel(digits: Denoiser) -> None:
    guided = {"guidance": [{"rule": "cfg", "scale": 2.0}]}
    alike = plan(digits, "ddim+fora:2@4", **{f"step{i}": guided for i in range(4)})
    assert list(kinds(alike, digits)) == ["cond, uncond"]
    # What is run first at the third step has nothing to reuse at the second.
    apart = plan(digits, "ddim+fora:2@4", step1=guided, step3=guided)
    found = kinds(apart, digits)
    assert found["cond"][0] == "crcr"
    assert found["uncond"][0] == " c r"


def test_the_figure_has_a_panel_for_each_and_the_cost_below(digits: Denoiser) -> None:
    guided = {"guidance": [{"rule": "cfg", "scale": 2.0}]}
    drawn = recipe(digits, "ddim+fora:2@4", step1=guided, step3=guided)
    figure = recipe_figure(drawn, compile_recipe(drawn, digits), digits.sites, title="some words")
    _, *panels, costs = figure.axes
    assert [axes.get_title() for axes in panels] == ["cond", "uncond"]
    assert len(panels[0].get_yticklabels()) == 16
    heights = [bar.get_height() for bar in costs.patches[4:]]
    assert heights[0] == 1
    assert heights[1] == pytest.approx(heights[3] + 1, abs=0.99)
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert texts == {"compute", "reuse"}
    assert figure.get_suptitle() == "some words"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_it_is_written(suffix: str, digits: Denoiser, tmp_path: Path) -> None:
    path = tmp_path / f"recipe{suffix}"
    drawn = recipe(digits, "ddim+taylorseer@20")
    found = compile_recipe(drawn, digits)
    save_figure(recipe_figure(drawn, found, digits.sites, title="t"), path)
    assert path.stat().st_size > 1000
    if suffix == ".png":
        height, width = matplotlib.image.imread(path).shape[:2]
        assert 900 < width < 1400
        assert 500 < height < 900
    with pytest.raises(UserError, match="is no picture format"):
        save_figure(recipe_figure(drawn, found, digits.sites, title="t"), tmp_path / "x.jpg")


def test_colours_differ_in_lightness() -> None:
    from matplotlib.colors import to_rgb

    shares = (0.2126, 0.7152, 0.0722)  # of red, green and blue in luminance
    lightness = [
        sum(share * part for share, part in zip(shares, to_rgb(colour), strict=True))
        for colour in COLOURS.values()
    ]
    assert lightness == sorted(lightness)
    assert min(b - a for a, b in pairwise(lightness)) > 0.1
