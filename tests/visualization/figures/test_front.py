"""The picture of a front."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.errors import UserError
from autosearch.study.front import Front
from autosearch.visualization.figures import front_figure, save_figure
from autosearch.visualization.figures.labels import spread
from autosearch.visualization.figures.markers import families

Make = Callable[[dict[str, Any]], Front]


def texts(figure: Any) -> set[str]:
    found = set()
    for axes in figure.axes:
        found |= {text.get_text() for text in axes.texts}
    return found


def with_objectives(table: dict[str, Any], *names: str) -> dict[str, Any]:
    changed = copy.deepcopy(table)
    changed["objectives"] = [{"name": n, "direction": "minimize", "unit": n} for n in names]
    return changed


def test_the_picture_is_1200_by_800(table: dict[str, Any], front_of: Make, tmp_path: Path) -> None:
    save_figure(front_figure(front_of(table)), tmp_path / "sub" / "front.png")
    assert matplotlib.image.imread(tmp_path / "sub" / "front.png").shape[:2] == (800, 1200)


def test_points_errors_and_overtaken_are_drawn_where_they_are(
    table: dict[str, Any], front_of: Make
) -> None:
    figure = front_figure(front_of(table))
    (axes,) = figure.axes
    front = front_of(table)
    bars = axes.containers[0]
    assert bars.has_yerr
    xs, ys = bars.lines[0].get_data()
    assert list(xs) == [p.value("nfe") for p in front.front]
    assert list(ys) == [p.value("fid") for p in front.front]
    low, high = bars.lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx(front.front[0].interval("fid"))
    hollow = next(line for line in axes.lines if line.get_label() == "overtaken")
    assert hollow.get_markerfacecolor() == "none"
    assert len(hollow.get_xdata()) == len(front.overtaken)


def test_axes_name_objective_and_unit_on_a_log_scale(table: dict[str, Any], front_of: Make) -> None:
    (axes,) = front_figure(front_of(table)).axes
    assert axes.get_yscale() == "log"
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel() == "nfe [network evaluations]"
    assert axes.get_ylabel().startswith("fid")
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_the_front_is_a_step_to_the_largest_cost(table: dict[str, Any], front_of: Make) -> None:
    (axes,) = front_figure(front_of(table)).axes
    step = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert step.get_xdata()[-1] == 10
    ys = list(step.get_ydata())
    assert ys == sorted(ys, reverse=True)


def test_reference_is_a_dashed_line_with_its_label(table: dict[str, Any], front_of: Make) -> None:
    figure = front_figure(front_of(table))
    value = table["reference"]["values"]["fid"]["value"]
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in dashed] == [value]
    assert f"reference dpmpp_2m@100: {value:.3g}" in texts(figure)


def test_a_reference_below_a_log_axis_is_still_named(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    changed["reference"]["values"]["fid"]["value"] = -0.001
    assert "reference dpmpp_2m@100: -0.001 (below this axis)" in texts(
        front_figure(front_of(changed))
    )


def test_best_baselines_are_named_once_and_worn_by_shape(
    table: dict[str, Any], front_of: Make
) -> None:
    grouped, _ = families(front_of(table))
    assert len({family.marker for family in grouped}) == len(grouped)
    assert {family.name for family in grouped} <= texts(front_figure(front_of(table)))


def test_other_baselines_are_small_marks(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    worse = copy.deepcopy(changed["baselines"][0])
    worse |= {"id": 900, "baseline": "euler@2", "on_front": False}
    worse["values"]["fid"] |= {"validated": 9.0, "ci": [8.9, 9.1]}
    changed["baselines"].append(worse)
    (axes,) = front_figure(front_of(changed)).axes
    small = next(line for line in axes.lines if line.get_label() == "other baselines")
    assert list(small.get_ydata()) == [9.0]
    assert "euler" not in texts(front_figure(front_of(changed)))


def test_values_at_zero_are_shown(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    last = next(p for p in changed["points"] if p["on_front"])
    last["values"]["fid"] |= {"validated": -0.002, "ci": [-0.01, 0.006]}
    (axes,) = front_figure(front_of(changed)).axes
    assert axes.get_yscale() == "symlog"


@pytest.mark.parametrize(
    ("names", "panels"), [(["fid"], 1), (["fid", "fd_pixels"], 1), (["fid", "fd_pixels", "nfe"], 3)]
)
def test_any_number_of_objectives(
    table: dict[str, Any], front_of: Make, names: list[str], panels: int
) -> None:
    changed = with_objectives(table, *names)
    # Reported values exist only where something was validated.
    for key in ("points", "baselines"):
        changed[key] = [p for p in changed[key] if "fd_pixels" in p["values"]]
    figure = front_figure(front_of(changed))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == panels
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in shown)


def test_a_front_of_three_names_its_points_and_says_how_to_read_it(
    table: dict[str, Any], front_of: Make
) -> None:
    changed = with_objectives(table, "fid", "fd_pixels", "nfe")
    for key in ("points", "baselines"):
        changed[key] = [p for p in changed[key] if "fd_pixels" in p["values"]]
    figure = front_figure(front_of(changed))
    searched = {f"#{p['id']}" for p in changed["points"] if p["on_front"] and not p["baseline"]}
    assert searched
    *panels, empty = figure.axes
    for axes in panels:
        assert searched <= {text.get_text() for text in axes.texts}
    assert not empty.axison
    labels = {text.get_text() for text in empty.get_legend().get_texts()}
    assert "front, 95% interval" in labels
    assert any("better in another one" in text.get_text() for text in empty.texts)


def test_values_that_hardly_differ_need_no_logarithm(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    changed["reference"]["values"] = {}
    for i, point in enumerate([*changed["points"], *changed["baselines"]]):
        value = 0.9 + i / 1000
        point["values"]["fid"] |= {"validated": value, "ci": [value, value]}
    (axes,) = front_figure(front_of(changed)).axes
    assert axes.get_yscale() == "linear"


def test_folded_points_are_not_drawn_and_the_knee_has_a_ring(
    table: dict[str, Any], front_of: Make
) -> None:
    changed = copy.deepcopy(table)
    far = copy.deepcopy(changed["points"][0])
    far |= {"id": 900, "baseline": None, "on_front": False, "folded": True}
    far["values"]["fid"] |= {"search": 484.0, "validated": None, "ci": [480.0, 488.0]}
    changed["points"].append(far)
    front = front_of(changed)
    (axes,) = front_figure(front, hover=True).axes
    assert 484.0 not in {float(y) for line in axes.lines for y in line.get_ydata()}
    assert "point-900" not in {line.get_gid() for line in axes.lines}
    assert axes.get_ylim()[1] < 100
    ring = next(line for line in axes.lines if line.get_label() == "knee")
    assert front.knee is not None
    place = (front.knee.value("nfe"), front.knee.value("fid"))
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == place


@pytest.mark.parametrize("name", ["front.jpg", "front", "front.png.txt"])
def test_other_suffixes_are_refused(
    table: dict[str, Any], front_of: Make, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match=r"\.png, \.pdf or \.svg"):
        save_figure(front_figure(front_of(table)), tmp_path / name)


def test_a_place_that_cannot_be_written_is_refused(
    table: dict[str, Any], front_of: Make, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        save_figure(front_figure(front_of(table)), tmp_path / "file" / "front.png")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_labels_stand_apart_in_their_order(heights: list[float]) -> None:
    placed = spread(sorted(heights), 0.035)
    gaps = [b - a for a, b in itertools.pairwise(placed)]
    assert all(gap >= 0.035 - 1e-9 for gap in gaps)
    assert placed[-1] <= 0.98
