"""Estimates, their intervals and paired comparison."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autosearch.objectives.base import Estimate, Objective, compare

finite = st.floats(-1e6, 1e6)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Estimate, Estimate]:
    blocks = draw(st.integers(2, 12))
    sides = [
        Estimate(draw(finite), tuple(draw(st.lists(finite, min_size=blocks, max_size=blocks))))
        for _ in range(2)
    ]
    return sides[0], sides[1]


def test_interval_is_the_textbook_t_interval() -> None:
    values = np.array([1.0, 4.0, 2.0, 7.0, 3.0])
    estimate = Estimate(float(values.mean()), tuple(values))
    assert estimate.standard_error == pytest.approx(stats.sem(values), rel=1e-12)
    for level in (0.5, 0.9, 0.95, 0.999):
        expected = stats.t.interval(level, 4, loc=values.mean(), scale=stats.sem(values))
        assert estimate.interval(level) == pytest.approx(expected, rel=1e-9)


def test_exact_value_has_no_error() -> None:
    assert Estimate(3.0).standard_error == 0.0
    assert Estimate(3.0).interval() == (3.0, 3.0)
    assert compare(Estimate(3.0), Estimate(1.0)) == (2.0, (2.0, 2.0))


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_compare_is_antisymmetric(pair: tuple[Estimate, Estimate]) -> None:
    a, b = pair
    forward, (low, high) = compare(a, b)
    backward, (other_low, other_high) = compare(b, a)
    assert forward == -backward
    scale = 1.0 + max(abs(low), abs(high))
    assert low == pytest.approx(-other_high, abs=1e-9 * scale)
    assert high == pytest.approx(-other_low, abs=1e-9 * scale)
    assert low <= forward <= high


@settings(max_examples=40, deadline=None)
@given(pairs())
def test_an_estimate_differs_from_itself_by_exactly_nothing(
    pair: tuple[Estimate, Estimate],
) -> None:
    assert compare(pair[0], pair[0]) == (0.0, (0.0, 0.0))


@settings(max_examples=40, deadline=None)
@given(pairs(), st.floats(0.1, 0.9))
def test_interval_widens_with_its_level(pair: tuple[Estimate, Estimate], level: float) -> None:
    low, high = pair[0].interval(level)
    wider_low, wider_high = pair[0].interval(level + 0.05)
    assert wider_low <= low <= high <= wider_high


def test_pairing_uses_what_two_estimates_share() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2, 20))
    a = Estimate(1.0, tuple(shared))
    close = Estimate(0.5, tuple(shared + 0.1 * own))
    alone = Estimate(0.5, tuple(own))
    independent = math.hypot(a.standard_error, close.standard_error)
    half = float(stats.t.ppf(0.975, 19)) * independent
    low, high = compare(a, close)[1]
    assert high - low < 0.2 * 2 * half
    low, high = compare(a, alone)[1]
    assert high - low > half


def test_other_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="not a paired comparison"):
        compare(Estimate(1.0, (1.0, 2.0)), Estimate(1.0, (1.0, 2.0, 3.0)))


def test_an_objective_is_either_declared_or_measured() -> None:
    class Nothing(Objective):
        name = "nothing"

    with pytest.raises(TypeError, match="measured, not declared"):
        Nothing().declared(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="declared, not measured"):
        Nothing().estimate({}, {}, 20)
