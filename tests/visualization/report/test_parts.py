"""The parts of a report, each against what it must show."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sites.sites import parts
from autosearch.experiment import load_experiment
from autosearch.models.bundled import DigitsModel
from autosearch.study.events import Resumed
from autosearch.study.study import Study
from autosearch.visualization.figures.markers import FRONT
from autosearch.visualization.figures.recipe import WORDS, cells, recipe_figure
from autosearch.visualization.report.facts import cost_rows, environment_rows, repeat
from autosearch.visualization.report.inline import inline_svg
from autosearch.visualization.report.samples import _shrunk


def drawn_figure() -> Any:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.set_xlim(0, 1)
    axes.plot([0.5, 3.0], [1, 2], "-", color=FRONT, gid="line")
    axes.plot([0.5], [1], "o", alpha=0, gid="point-1")
    axes.set_title(EVIL, parse_math=False)
    return figure


EVIL = "<script>a()</script> & $\\foo$ \x1b"


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_figure_stands_in_a_page_with_titles_and_the_page_s_colours() -> None:
    titles = {"line": EVIL, "point-1": "#1: fid 0.5"}
    drawn = inline_svg(drawn_figure(), name="chart-one", label=EVIL, titles=titles)
    assert drawn == inline_svg(drawn_figure(), name="chart-one", label=EVIL, titles=titles)
    root = ElementTree.fromstring(drawn)
    assert (root.get("role"), root.get("class")) == ("img", "chart")
    assert (root.get("width"), root.get("height")) == ("288", "192")
    shown = EVIL.replace("\x1b", "\ufffd")
    assert root.get("aria-label") == shown
    parts = {g.get("class"): g for g in root.iter("g") if g.get("class")}
    assert {name: g.findtext("title") for name, g in parts.items()} == titles | {"line": shown}
    assert shown in [text.text for text in root.iter("text")]
    assert "<script" not in drawn
    assert "http" not in drawn
    assert "url(" not in drawn
    assert "var(--front)" in drawn
    assert FRONT not in drawn
    # What leaves a panel is cut off at its edge.
    (inner,) = parts["line"].iter("svg")
    assert float(inner.get("width", "0")) < 288 * 72 / 96


@pytest.mark.filterwarnings("ignore:Glyph")
def test_pictures_of_a_page_share_no_ids() -> None:
    ids = [
        set(re.findall(r' id="([^"]+)"', inline_svg(drawn_figure(), name=n, label="", titles={})))
        for n in ("chart-one", "chart-two")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.fixture(scope="module")
def digits() -> Any:
    return DigitsModel.load()


def parts_of(figure: Any) -> dict[str, ElementTree.Element]:
    drawn = inline_svg(figure, name="recipe-1", label="a recipe", titles=WORDS)
    root = ElementTree.fromstring(drawn)
    return {str(g.get("class")): g for g in root.iter("g") if g.get("class")}


def boxes(group: ElementTree.Element) -> int:
    return sum(str(path.get("d")).count("z") for path in group.iter("path"))


@pytest.mark.parametrize("name", ["ddim@5", "dpmpp_2m+fora:3@9", "dpmpp_2m+cgtaylor@8"])
def test_a_recipe_s_picture_has_a_mark_for_all_that_it_does(digits: Any, name: str) -> None:
    denoiser = digits.denoiser
    recipe = baseline(name, denoiser)
    plan = compile_recipe(recipe, denoiser)
    drawn = parts_of(recipe_figure(recipe, plan, denoiser.sites))
    steps = len(recipe.steps)
    assert len(list(drawn["times"].iter("use"))) == steps
    assert sum(boxes(g) for name, g in drawn.items() if name.startswith("order-")) == steps
    expected = [
        cell.kind
        for table in cells(plan, denoiser.sites).values()
        for row in table
        for cell in row
        if cell
    ]
    shown = {name.removeprefix("kind-") for name in drawn if name.startswith("kind-")}
    if "+" not in name:
        assert shown == set()
        return
    assert shown == set(expected)
    for kind in shown:
        assert boxes(drawn[f"kind-{kind}"]) == expected.count(kind)
        assert len(drawn[f"kind-{kind}"].findtext("title", "")) > 3
    assert len(parts(denoiser.sites)) > 10


def test_a_recipe_can_be_drawn_without_its_model(digits: Any) -> None:
    recipe = baseline("dpmpp_2m+fora:3@40", digits.denoiser)
    drawn = parts_of(recipe_figure(recipe, None, ()))
    assert not any(name.startswith("kind-") for name in drawn)
    assert len(list(drawn["times"].iter("use"))) == 40


def test_large_pictures_are_shrunk_and_small_ones_kept() -> None:
    picture = np.zeros((200, 400, 3), dtype=np.uint8)
    assert _shrunk(picture, 100_000) is picture
    small = _shrunk(picture, 5_000)
    assert small.shape == (50, 100, 3)


def test_the_command_is_the_shipped_experiment_s_where_one_fits(two: Path) -> None:
    study = Study.read(two)
    assert repeat(study).command == "autosearch run two.yaml --out runs/two-again"
    assert repeat(study).file == "two.yaml"
    overrides = ["budget={candidates: 40}", "samples=400"]
    shipped = load_experiment("mixture", overrides).to_dict()
    study.apply(Resumed(experiment=shipped, overrides=overrides))
    found = repeat(study)
    assert found.file is None
    assert found.command == (
        "autosearch run mixture --out runs/two-again --set 'budget={candidates: 40}' "
        "--set samples=400"
    )


def test_the_file_to_repeat_a_study_is_the_study_s_experiment(two: Path, tmp_path: Path) -> None:
    study = Study.read(two)
    (tmp_path / "again.yaml").write_text(repeat(study).text)
    assert load_experiment(str(tmp_path / "again.yaml")) == study.experiment


def test_costs_and_environment_are_the_study_s(two: Path) -> None:
    from autosearch.study.front import Front

    study = Study.read(two)
    front = Front.of(study)
    rows = dict(cost_rows(front, study))
    assert rows["candidates with a result"] == "16, 6 of them baselines"
    assert rows["forward equivalents executed"] == f"{front.spending['forward_equivalents']:,.0f}"
    title, environment = environment_rows(study)
    assert "not recorded" in title or "ran on" in title
    assert {"Python", "torch"} <= {name for name, _ in environment}
    study = Study(study.header.model_copy(update={"environment": {"torch": "9.9"}}))
    assert environment_rows(study) == ("the search ran on", [("torch", "9.9")])
