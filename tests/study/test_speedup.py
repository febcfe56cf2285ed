"""Choosing by speed, and by several limits."""

from dataclasses import replace

import pytest

from autosearch.errors import UserError
from autosearch.objectives import Estimate
from autosearch.recipe import Recipe
from autosearch.study.front import Front
from autosearch.study.pick import choose, pick, speed
from autosearch.study.point import Axis, Point

MODEL = {"family": "vp", "schedule": "linear", "prediction": "noise"}


def point(number: int, steps: int, name: str | None = None, **values: float) -> Point:
    return Point(
        id=number,
        baseline=name,
        on_front=name is None,
        overtaken_by=None,
        folded=False,
        search={},
        validated={k: Estimate(v) for k, v in values.items()},
        samples=1,
        load=lambda: Recipe.from_dict(
            {"version": 1, "model": MODEL, "steps": [{"time": 900 - i} for i in range(steps)]}
        ),
    )


def front_of(*entries: Point, names: tuple[str, ...] = ("fid", "macs")) -> Front:
    return Front(
        study="made",
        model="none",
        axes=[Axis(name, "minimize", "") for name in names],
        points=[entry for entry in entries if entry.baseline is None],
        baselines=[entry for entry in entries if entry.baseline is not None],
    )


CACHED = (
    point(0, 20, "ddim@20", fid=0.3, macs=100.0),
    point(1, 20, "dpmpp_2m@20", fid=0.1, macs=98.0),
    # Better and of as many steps, but it leaves half of them out: not what full quality means.
    point(2, 20, "dpmpp_2m+fora:2@20", fid=0.05, macs=50.0),
    point(3, 10, "dpmpp_2m@10", fid=0.04, macs=49.0),
    point(4, 20, fid=0.2, macs=25.0),
    point(5, 20, fid=0.15, macs=40.0),
)


def test_the_base_is_the_best_that_leaves_nothing_out() -> None:
    known = speed(front_of(*CACHED))
    assert (known.axis.name, known.base.name) == ("macs", "dpmpp_2m@20")
    assert known.of(front_of(*CACHED).points[0]) == pytest.approx(98 / 25)
    assert known.text(front_of(*CACHED).points[0]) == (
        "3.92x as fast as dpmpp_2m@20 (macs 98 to 25)"
    )


def test_a_speed_up_takes_the_best_quality_that_is_fast_enough() -> None:
    front = front_of(*CACHED)
    assert pick(front, "speedup>=2").id == 5
    assert pick(front, "speedup>=2x").id == 5
    assert pick(front, " speedup >= 2.5 ").id == 4
    assert choose(front, "speedup>=2").speed == speed(front)


def test_a_base_may_be_named() -> None:
    front = front_of(*CACHED)
    found = choose(front, "speedup>=1.2 over dpmpp_2m@10")
    assert found.point.id == 5
    assert found.speed is not None
    assert found.speed.base.name == "dpmpp_2m@10"
    assert pick(front, "speedup>=1.9 over dpmpp_2m@10").id == 4


def test_latency_goes_first_where_every_point_has_it() -> None:
    seconds = (1.0, 0.9, 0.8, 0.5, 0.7, 0.6)
    timed = [
        replace(entry, search={"latency": Estimate(s)})
        for entry, s in zip(CACHED, seconds, strict=True)
    ]
    assert speed(front_of(*timed)).axis.name == "latency"
    assert speed(front_of(CACHED[0], *timed[1:])).axis.name == "macs"


def test_several_limits_leave_the_rest_to_choose_by() -> None:
    names = ("fid", "kid", "nfe")
    front = front_of(
        point(0, 4, fid=1.0, kid=0.1, nfe=4.0),
        point(1, 6, fid=0.5, kid=0.3, nfe=6.0),
        point(2, 5, fid=0.8, kid=0.2, nfe=5.0),
        names=names,
    )
    assert pick(front, "nfe<=6, kid<=0.2").id == 2
    assert pick(front, "fid<=0.9,kid<=0.4").id == 2
    assert pick(front, "fid<=2,kid<=2,nfe<=9").id == 1
    with pytest.raises(UserError, match=r"--pick kid<=0.1: .* keeps the limits before it keeps it"):
        pick(front, "nfe>=5,kid<=0.1")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("speedup<=2", "a speed-up has a least value; write speedup>=2"),
        ("speedup>=9", "the nearest has speedup 3.920 over dpmpp_2m@20"),
        ("speedup>=fast", "'fast' is not a number"),
        ("speedup>=2 over ddim@21", "did you mean 'ddim@20'"),
        ("spedup>=2", "did you mean 'speedup'"),
        ("fid<=1 over ddim@20", "'over' goes with speedup alone"),
        ("fid<=1,", "is no limit"),
        ("fid<=1,knee", "'knee': is no limit"),
    ],
)
def test_wrong_choices_are_one_line(choice: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        pick(front_of(*CACHED), choice)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_cost_or_a_baseline_there_is_no_speed() -> None:
    with pytest.raises(UserError, match="this search knows no cost"):
        pick(front_of(point(0, 5, fid=1.0), names=("fid",)), "speedup>=2")
    with pytest.raises(UserError, match="no baseline to compare with"):
        pick(front_of(point(0, 5, fid=1.0, macs=2.0)), "speedup>=2")
    assert choose(front_of(point(0, 5, fid=1.0), names=("fid",)), "knee").speed is None
