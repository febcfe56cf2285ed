"""The harmonic mean between frozen bounds, against the published formula and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.errors import UserError
from autosearch.objectives import Fid, InceptionScore, Mmhm, MmhmText, Precision, Recall
from autosearch.objectives.mmhm import harmonic

unit = st.floats(0.02, 0.98)


@given(places=st.lists(unit, min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_it_is_the_published_formula(places: list[float]) -> None:
    """The first is better when smaller, as FID is."""
    low, high = np.array([1.0, 0, 10, 18]), np.array([30.0, 9, 40, 24])
    u = np.array(places)
    values = low + u * (high - low)
    values[0] = high[0] - u[0] * (high[0] - low[0])
    worst, best = low.copy(), high.copy()
    worst[0], best[0] = high[0], low[0]
    score, slope = harmonic(values, worst, best)
    assert score == pytest.approx(4 / (1 / (1e-3 + u)).sum())
    for j in range(4):
        step = np.zeros(4)
        step[j] = 1e-6
        up, down = (harmonic(values + sign * step, worst, best)[0] for sign in (1, -1))
        assert slope[j] == pytest.approx((up - down) / 2e-6, rel=1e-4)
    assert slope[0] < 0 < slope[1]


def test_one_bad_quality_spoils_it_and_what_is_beyond_counts_as_worst() -> None:
    worst, best = np.zeros(4), np.ones(4)
    score, slope = harmonic(np.array([0.0, 1, 1, 1]), worst, best)
    assert score == pytest.approx(0.004, rel=0.01)
    assert harmonic(np.array([-5.0, 1, 1, 1]), worst, best)[0] == score
    assert slope[0] == 0
    assert harmonic(np.array([3.0, 1, 1, 1]), np.array([3.0, 0, 0, 0]), np.array([3.0, 1, 1, 1]))[
        0
    ] == pytest.approx(1.001)


def sampled(count: int = 400, shift: float = 0.0) -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 6))
    reference = {
        "features": real,
        "features_mean": real.mean(axis=0),
        "features_cov": np.cov(real, rowvar=False),
    }
    logits = 2 * np.eye(4)[np.arange(count) % 4] + rng.normal(size=(count, 4))
    return {"features": rng.normal(size=(count, 6)) + shift, "logits": logits}, reference


def test_natural_bounds_and_the_linearised_error() -> None:
    rows, reference = sampled(shift=0.3)
    estimate = Mmhm().estimate(rows, reference, 20)
    parts = [part().estimate(rows, reference, 20) for part in (Fid, InceptionScore)]
    parts += [part().estimate(rows, reference, 20) for part in (Precision, Recall)]
    worst = np.array([np.trace(reference["features_cov"]), 1, 0, 0])
    best = np.array([0, 4.0, 1, 1])
    values = np.array([part.value for part in parts])
    score, slope = harmonic(values, worst, best)
    assert estimate.value == score
    assert np.mean(estimate.pseudo) == pytest.approx(score)
    moved = slope @ np.array([part.pseudo for part in parts])
    assert estimate.standard_error == pytest.approx(np.std(moved, ddof=1) / np.sqrt(20))
    assert Mmhm().min_samples({"features": 6, "logits": 4}) >= Fid().min_samples({"features": 6})


def test_frozen_bounds_take_their_place_and_do_not_move_with_the_samples() -> None:
    rows, reference = sampled(shift=0.3)
    frozen = {**reference, "bounds.fid": np.array([2.0, 0.1])}
    assert Mmhm().estimate(rows, frozen, 20).value < Mmhm().estimate(rows, reference, 20).value
    worse, _ = sampled(shift=0.8)
    assert Mmhm().estimate(worse, frozen, 20).value < Mmhm().estimate(rows, frozen, 20).value


def test_scores_of_text_models_need_bounds() -> None:
    rows, reference = sampled()
    rows |= {name: np.full(400, 20.0) for name in ("clip_score", "pick_score")}
    with pytest.raises(UserError, match="mmhm_text: clip_score has no natural bounds; give them"):
        MmhmText().estimate(rows, reference, 20)
    bounds = {f"bounds.{name}": np.array([15.0, 25]) for name in ("clip_score", "pick_score")}
    assert 0 < MmhmText().estimate(rows, {**reference, **bounds}, 20).value < 1
