"""Choosing a point of a front."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autosearch.errors import UserError
from autosearch.objectives import Estimate
from autosearch.study.front import Front
from autosearch.study.pick import pick
from autosearch.study.point import Axis, Point

Make = Callable[[dict[str, Any]], Front]


def made(*rows: tuple[float, ...], names: tuple[str, ...] = ("fid", "nfe")) -> Front:
    """A front of points with these validated values."""
    points = [
        Point(
            id=i,
            baseline=None,
            on_front=True,
            overtaken_by=None,
            folded=False,
            search={},
            validated={n: Estimate(v) for n, v in zip(names, row, strict=True)},
            samples=1,
            load=lambda: pytest.fail("no recipe is needed"),
        )
        for i, row in enumerate(rows)
    ]
    axes = [Axis(name, "minimize", "") for name in names]
    return Front(study="made", model="none", axes=axes, points=points, baselines=[])


def knee(front: Front) -> int:
    assert front.knee is not None
    return front.knee.id


def test_the_knee_is_farthest_below_the_chord() -> None:
    # In log10 the ends are (2, 0) and (0, 2); (1, 0.2) lies farther below than (0.5, 0.9).
    front = made((100, 1), (10, 10**0.2), (10**0.5, 10**0.9), (1, 100))
    assert knee(front) == 1


def test_the_knee_is_linear_where_a_value_is_not_positive() -> None:
    # Linear in fid: (0.1, 0.5 of the way) is below (0.6, ...) although a log would say otherwise.
    front = made((10.0, 1), (0.9, 2), (0.0, 10), (-0.1, 11))
    scaled = {0: 0 + 1.0, 1: np.log(2) / np.log(11) + 1.0 / 10.1}
    assert scaled[1] < scaled[0]
    assert knee(front) == 1


def test_the_knee_equals_the_geometric_distance() -> None:
    rng = np.random.default_rng(3)
    fid = np.sort(10 ** rng.uniform(-2, 1, 9))[::-1]
    nfe = np.arange(2.0, 11.0)
    front = made(*zip(fid.tolist(), nfe.tolist(), strict=True))
    x, y = np.log10(nfe), np.log10(fid)
    x, y = (x - x[0]) / (x[-1] - x[0]), (y - y[-1]) / (y[0] - y[-1])
    chord = np.array([x[-1] - x[0], y[-1] - y[0]])
    offsets = np.stack([x - x[0], y - y[0]], axis=1)
    distance = (chord[1] * offsets[:, 0] - chord[0] * offsets[:, 1]) / np.hypot(*chord)
    assert knee(front) == int(np.argmax(distance))


def test_fronts_that_bulge_outwards_give_the_better_end() -> None:
    assert knee(made((100, 1), (99, 50), (1, 100))) == 2


@pytest.mark.parametrize("count", [1, 2])
def test_short_fronts_have_a_knee(count: int) -> None:
    rows = [(2.0, 3.0), (1.0, 4.0)][:count]
    assert knee(made(*rows)) == count - 1


def test_one_objective_gives_its_best() -> None:
    assert knee(made((0.4,), names=("fid",))) == 0


def test_three_objectives_give_the_point_nearest_to_the_ideal() -> None:
    front = made((1, 100, 100), (10, 10, 10), (100, 1, 1), names=("fid", "nfe", "memory"))
    # At distances sqrt(2), sqrt(3)/2 and 1 from the ideal on log axes.
    assert knee(front) == 1


def test_picks_on_a_real_front(table: dict[str, Any], front_of: Make) -> None:
    front = front_of(table)
    assert pick(front, "best:fid").value("fid") == min(p.value("fid") for p in front.front)
    assert pick(front, "best:nfe").value("nfe") == 2
    assert pick(front, "knee").id == knee(front)
    assert pick(front, "58").id == pick(front, "#58").id == 58


def test_a_limit_takes_the_best_of_the_other_objective(
    table: dict[str, Any], front_of: Make
) -> None:
    front = front_of(table)
    assert pick(front, "nfe<=4").id == 58
    assert pick(front, "nfe <= 4.5").id == 58
    cheapest = pick(front, "fid<=0.06")
    assert cheapest.value("nfe") == 6
    assert pick(front, "nfe>=9").value("nfe") == 10


def test_limits_may_name_what_is_only_reported(table: dict[str, Any], front_of: Make) -> None:
    changed = {
        **table,
        "points": [p for p in table["points"] if "fd_pixels" in p["values"]],
    }
    point = pick(front_of(changed), "fd_pixels<=0.05")
    assert point.value("fd_pixels") <= 0.05


def test_directions_count(table: dict[str, Any], front_of: Make) -> None:
    objectives = [{**table["objectives"][0], "direction": "maximize"}, table["objectives"][1]]
    front = front_of({**table, "objectives": objectives})
    assert pick(front, "best:fid").value("fid") == max(p.value("fid") for p in front.front)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("kne", "did you mean 'knee'"),
        ("best:fdi", "did you mean 'fid'"),
        ("9999", "nearest 123"),
        ("121", "overtaken by dpmpp_2m-logsnr@2; pick 3"),
        ("nfe<=1", "the nearest has nfe 2"),
        ("nfe>=11", "the nearest has nfe 10"),
        ("fid<=good", "'good' is not a number"),
        ("fid<=nan", "'nan' is not a number"),
        ("fed<=1", "unknown objective 'fed'"),
    ],
)
def test_wrong_choices_name_the_nearest(
    table: dict[str, Any], front_of: Make, choice: str, words: str
) -> None:
    with pytest.raises(UserError, match="--pick") as caught:
        pick(front_of(table), choice)
    assert words in str(caught.value)


def test_a_point_that_fell_off_unbeaten_is_refused_too(
    table: dict[str, Any], front_of: Make
) -> None:
    points = [{**p, "overtaken_by": None} for p in table["points"]]
    with pytest.raises(UserError, match="not on the front any more; pick another"):
        pick(front_of({**table, "points": points}), "121")


def test_an_empty_front_has_nothing_to_pick(table: dict[str, Any], front_of: Make) -> None:
    with pytest.raises(UserError, match="empty"):
        pick(front_of({**table, "points": []}), "knee")
