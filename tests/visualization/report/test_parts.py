"""The parts of a report, each against what it must show."""

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sites.sites import parts
from autosearch.experiment import load_experiment
from autosearch.models.digits import DigitsModel
from autosearch.study.study import Study
from autosearch.visualization.figures.recipe import cells
from autosearch.visualization.report.facts import cost_rows, environment_rows, repeat
from autosearch.visualization.report.marks import mark
from autosearch.visualization.report.recipe_picture import recipe_picture
from autosearch.visualization.report.samples import _shrunk
from autosearch.visualization.report.scale import fitted, short
from autosearch.visualization.report.svg import tag


def test_elements_escape_texts_and_attributes() -> None:
    drawn = tag("text", "a < b", x=1.26, class_='"quoted"', data_of=None)
    assert drawn == '<text x="1.3" class="&#34;quoted&#34;">a &lt; b</text>'
    assert tag("g", tag("line", x1=0)) == '<g><line x1="0"/></g>'


VALUES = st.lists(st.floats(-50, 1e6, allow_nan=False), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None)
@given(VALUES, st.booleans())
def test_scales_keep_order_and_stay_in_their_panel(values: list[float], is_cost: bool) -> None:
    scale = fitted(values, 300.0, 20.0, is_cost=is_cost)
    places = [scale.at(value) for value in sorted(values)]
    assert all(20 - 1e-6 <= place <= 300 + 1e-6 for place in places)
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(places))
    ticks = scale.ticks(6)
    assert len(ticks) <= 14
    assert all(20 - 1e-6 <= place <= 300 + 1e-6 for place, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("values", "is_cost", "kind"),
    [
        ([2, 10], True, "linear"),
        ([2e9, 9e9], True, "log"),
        ([0.01, 2.0], False, "log"),
        ([-0.001, 0.5], False, "symlog"),
        ([-3.0, -1.0], False, "linear"),
    ],
)
def test_scales_are_those_of_the_plot(values: list[float], is_cost: bool, kind: str) -> None:
    assert fitted(values, 0, 100, is_cost=is_cost).kind == kind


def test_whole_costs_have_whole_ticks() -> None:
    ticks = fitted([2.0, 3.0, 4.0], 0, 100, is_cost=True).ticks(9)
    assert [text for _, text in ticks] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.02, "0.02"), (15.0, "15"), (5e4, "50k"), (2.5e9, "2.5G"), (0.0, "0")]
)
def test_numbers_at_ticks_are_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize("shape", list("so^v<>DdphPX*."))
def test_every_mark_is_centred(shape: str) -> None:
    drawn = mark(shape, 50.0, 20.0)
    if "points" in drawn:
        corners = [
            tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", drawn)
        ]
        assert all(math.dist(corner, (50, 20)) < 8 for corner in corners)
    else:
        assert 'cx="50"' in drawn


@pytest.fixture(scope="module")
def digits() -> Any:
    return DigitsModel.load()


@pytest.mark.parametrize("name", ["ddim@5", "dpmpp_2m+fora:3@9", "dpmpp_2m+cgtaylor@8"])
def test_a_recipe_s_picture_has_a_mark_for_all_that_it_does(digits: Any, name: str) -> None:
    denoiser = digits.denoiser
    recipe = baseline(name, denoiser)
    plan = compile_recipe(recipe, denoiser)
    drawn = recipe_picture(recipe, plan, denoiser.sites)
    steps = len(recipe.steps)
    assert drawn.svg.count('class="dot-time"') == steps
    assert drawn.svg.count('class="order ') == steps
    assert f'aria-label="{steps} steps at times' in drawn.svg
    expected = [
        cell.kind
        for table in cells(plan, denoiser.sites).values()
        for row in table
        for cell in row
        if cell
    ]
    if "+" not in name:
        assert drawn.kinds == ()
        return
    assert set(drawn.kinds) == set(expected)
    for kind in drawn.kinds:
        (path,) = re.findall(rf'<path d="([^"]+)" class="kind-{kind}"', drawn.svg)
        assert path.count("z") == expected.count(kind)
    assert len(parts(denoiser.sites)) > 10


def test_a_recipe_can_be_drawn_without_its_model(digits: Any) -> None:
    recipe = baseline("dpmpp_2m+fora:3@40", digits.denoiser)
    drawn = recipe_picture(recipe, None, ())
    assert drawn.kinds == ()
    assert drawn.svg.count('class="dot-time"') == 40


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
    study.header = {
        **study.header,
        "experiment": load_experiment("mixture", overrides).to_dict(),
        "overrides": overrides,
    }
    del study.experiment
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
    from autosearch.study.front import front_table

    study = Study.read(two)
    table = front_table(study)
    rows = dict(cost_rows(table, study))
    assert rows["candidates with a result"] == "16, 6 of them baselines"
    assert rows["forward equivalents executed"] == f"{table['cost']['forward_equivalents']:,.0f}"
    title, environment = environment_rows(study)
    assert "not recorded" in title or "ran on" in title
    assert {"Python", "torch"} <= {name for name, _ in environment}
    study.header = {**study.header, "environment": {"torch": "9.9"}}
    assert environment_rows(study) == ("the search ran on", [("torch", "9.9")])
