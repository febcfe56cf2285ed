"""The gateway between a box and the unit cube."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.algorithms.unit_box import UnitBox, levels
from autosearch.spaces.base import Parameter

BOX = UnitBox(
    [
        Parameter("scale", "float", -1.5, 4.0),
        Parameter("steps", "int", 2, 7),
        Parameter("form", "choice", choices=("a", "b", "c")),
        Parameter("fixed", "float", 0.3, 0.3),
    ]
)

UNIT = st.lists(st.floats(0, 1), min_size=4, max_size=4)


@settings(max_examples=60, deadline=None)
@given(UNIT)
def test_every_place_is_a_point_and_points_round_trip(places):
    point = BOX.point(np.array(places))
    assert -1.5 <= point["scale"] <= 4.0
    assert point["steps"] in range(2, 8)
    assert type(point["steps"]) is int
    assert point["form"] in ("a", "b", "c")
    again = BOX.point(BOX.unit(point))
    assert again == {**point, "scale": pytest.approx(point["scale"], abs=1e-12)}


def test_whole_numbers_and_choices_own_equal_parts():
    places = np.linspace(0, 1, 601)
    points = [BOX.point(np.full(4, place)) for place in places]
    for name, count in (("steps", 6), ("form", 3)):
        shares = np.unique([str(point[name]) for point in points], return_counts=True)[1] / 601
        assert shares == pytest.approx([1 / count] * count, abs=0.005)


def test_levels_are_all_values_or_a_grid():
    assert [levels(p, 3) for p in BOX.parameters[:3]] == [
        [-1.5, 1.25, 4.0],
        [2, 3, 4, 5, 6, 7],
        ["a", "b", "c"],
    ]
