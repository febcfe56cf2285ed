"""The table of a front for people."""

import copy
import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.text import number, with_error

Make = Callable[[dict[str, Any]], Front]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (7.0, "7"),
        (0.12345, "0.123"),
        (1.23456, "1.235"),
        (123.456, "123.5"),
        (1234.56, "1235"),
        (0.000123, "1.23e-04"),
        (-0.5, "-0.500"),
        (10318848.0, "1.03e+07"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.0807, 0.0084, "0.0807 ± 0.0084"),
        (0.358, 0.037, "0.358 ± 0.037"),
        (12.3456, 1.0, "12.3 ± 1.0"),
        (1234.5, 120.0, "1234 ± 1.2e+02"),
        (5.0, 0.0, "5"),
    ],
)
def test_values_are_cut_where_their_error_begins(value: float, half: float, text: str) -> None:
    assert with_error(value, half) == text


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e12, 1e12, allow_subnormal=False))
def test_numbers_stay_within_a_thousandth(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=6e-3)


def test_the_table_has_a_row_for_each_point_of_the_front(
    table: dict[str, Any], front_of: Make
) -> None:
    lines = front_text(front_of(table)).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("digits: front of fid, nfe on digits, validated on 1200")
    front = front_of(table)
    rows = lines[4 : 4 + len(front.front)]
    for row, point in zip(rows, front.front, strict=True):
        assert row.split()[:2] == [str(point.steps), point.name]
    # The gap is that of the validated values.
    versus = front.versus(front.front[2])
    assert versus is not None
    assert versus.interval is not None
    theirs, half = versus.baseline.value("fid"), (versus.interval[1] - versus.interval[0]) / 2
    assert versus.difference == front.front[2].value("fid") - theirs
    gap = f"{100 * versus.difference / theirs:+.0f}% ± {100 * half / theirs:.0f}%"
    assert rows[2].endswith(gap)
    fallen = {p.name: p.overtaken_by for p in front.overtaken}
    told = " ".join(" ".join(lines).split())
    for name, beater in fallen.items():
        assert beater is None or f"{name} (by {front.by_number[beater].name})" in told
    assert any(line.startswith("reference dpmpp_2m@100") for line in lines)


def test_a_baseline_on_the_front_is_compared_with_nobody(
    table: dict[str, Any], front_of: Make
) -> None:
    row = next(
        line for line in front_text(front_of(table)).splitlines() if " dpmpp_2m-logsnr@10 " in line
    )
    assert row.endswith("itself")


def test_costs_without_a_baseline_take_the_nearest(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    changed["baselines"] = [p for p in changed["baselines"] if p["values"]["nfe"]["search"] != 4]
    front = front_of(changed)
    point = next(p for p in front.front if p.steps == 4)
    rival = front.rival(point)
    assert rival is not None
    assert rival.steps == 3


def test_before_validation_the_table_says_so(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    for point in changed["points"] + changed["baselines"]:
        for value in point["values"].values():
            value["validated"] = None
    text = front_text(front_of(changed))
    assert "not validated yet" in text


def test_wide_tables_are_cut_to_the_width(table: dict[str, Any], front_of: Make) -> None:
    changed = copy.deepcopy(table)
    names = ("macs", "memory")
    changed["objectives"] += [{"name": name, "direction": "minimize", "unit": ""} for name in names]
    value = {"search": 103188480.0, "validated": 103188480.0, "ci": [103188480.0, 103188480.0]}
    for point in changed["points"] + changed["baselines"]:
        point["values"] |= dict.fromkeys(names, value)
    assert max(map(len, front_text(front_of(changed)).splitlines())) <= 100


LONG = "dpmpp_2m-quadratic+fora:3+ertacache:0.25"


@pytest.fixture
def long(table: dict[str, Any]) -> dict[str, Any]:
    """A front whose baselines have long names that begin alike."""
    changed = copy.deepcopy(table)
    for point in changed["points"] + changed["baselines"]:
        if point["baseline"] is not None:
            point["baseline"] = f"{LONG}{point['id'] % 2}@{100 + point['id']}"
    return changed


@pytest.mark.parametrize("most", [12, None])
def test_long_names_are_cut_recognisably_and_told_below(
    long: dict[str, Any], front_of: Make, most: int | None
) -> None:
    front = front_of(long)
    lines = front_text(front, most=most).splitlines()
    assert max(map(len, lines)) <= 100
    told = " ".join(line.strip() for line in lines)
    cells = {word for line in lines for word in line.split() if ".." in word}
    # Each stands for one name, has its steps, and is as long as there is room for.
    meant = dict(re.findall(r"(\S*\.\.\S*) is (\S+?)(?:;| |$)", told))
    assert set(meant) == {cell.rstrip(";") for cell in cells} - {""}
    assert len(set(meant.values())) == len(meant) > 1
    for short, name in meant.items():
        assert short.rpartition("@")[2] == name.rpartition("@")[2]
        assert name.startswith(short.partition("..")[0])
        assert len(short) >= 8
    assert {point.name for point in front.front if point.baseline} <= set(meant.values())


def test_a_wide_terminal_shows_names_whole(long: dict[str, Any], front_of: Make) -> None:
    text = front_text(front_of(long), width=200)
    assert ".." not in text
    assert max(map(len, text.splitlines())) <= 200
    # What fits in a hundred columns is not cut for them either.
    assert front_text(front_of(long), width=80) == front_text(front_of(long))


def test_a_search_that_ended_early_says_why(table: dict[str, Any], front_of: Make) -> None:
    front = dataclasses.replace(front_of(table), early_end="ended before its budget: no more")
    assert "\nended before its budget: no more\n" in front_text(front)
    assert "ended before" not in front_text(front_of(table))


def test_an_empty_front_is_a_sentence(table: dict[str, Any], front_of: Make) -> None:
    text = front_text(front_of({**table, "points": [], "baselines": []}))
    assert "nothing on the front" in text


def test_objectives_to_maximise_are_ranked_the_other_way(
    table: dict[str, Any], front_of: Make
) -> None:
    changed = copy.deepcopy(table)
    changed["objectives"][0]["direction"] = "maximize"
    front = front_of(changed)
    point = front.front[0]
    others = [b for b in front.baselines if b.value("nfe") == point.value("nfe") and b is not point]
    rival = front.rival(point)
    assert rival is not None
    assert rival.value("fid") == max(b.value("fid") for b in others if b.id != point.id)
