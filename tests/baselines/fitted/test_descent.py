"""Descents with few evaluations, and times as free numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autosearch.baselines.fitted.descent import descend
from autosearch.baselines.fitted.trajectory_ends import Gaps
from autosearch.diffusion.schedules import get_schedule

Array = NDArray[np.float64]


def test_one_round_solves_a_linear_problem() -> None:
    rng = np.random.default_rng(0)
    matrix, wanted = rng.standard_normal((12, 4)), rng.standard_normal(12)
    best = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    found, least = descend(lambda x: matrix @ x - wanted, np.zeros(4), rounds=1, tries=8)
    assert found == pytest.approx(best, abs=1e-6)
    assert least == pytest.approx(((matrix @ best - wanted) ** 2).sum())


def test_slopes_kept_up_to_date_save_evaluations() -> None:
    calls = 0

    def residuals(x: Array) -> Array:
        nonlocal calls
        calls += 1
        return np.concatenate([np.exp(0.5 * x) - 1.2, 0.1 * np.sin(x[:-1] * x[1:])])

    start = np.linspace(-1, 1, 8)
    _, least = descend(residuals, start, rounds=2, tries=12)
    assert least < 0.01 * (residuals(start) ** 2).sum()
    # Finite differences at each of 24 evaluations would take 216.
    assert calls <= 2 * (8 + 12) + 1


def test_more_rounds_are_never_worse() -> None:
    def residuals(x: Array) -> Array:
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])

    sums = [descend(residuals, np.array([-1.2, 1.0]), rounds=n, tries=10)[1] for n in (1, 2, 4, 8)]
    assert sums == sorted(sums, reverse=True)
    assert sums[-1] < 1e-8


@pytest.mark.parametrize("family", [("vp", "linear"), ("edm", "edm"), ("flow", "rectified")])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_gaps_are_times_and_times_gaps(family: tuple[str, str], data: st.DataObject) -> None:
    gaps = Gaps(get_schedule(*family))
    count = data.draw(st.integers(1, 10))
    drawn = np.array(data.draw(st.lists(st.floats(-1.5, 1.5), min_size=count, max_size=count)))
    times = gaps.times(drawn)
    assert len(times) == count
    assert times == sorted(times, reverse=True)
    # But for the rounding of times.
    assert gaps.times(gaps.from_times(times)) == pytest.approx(times, rel=0.02, abs=1e-3)
