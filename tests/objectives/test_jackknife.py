"""The jackknife against what it must give for means and variances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autosearch.errors import UserError
from autosearch.objectives.jackknife import block_count, cut, from_leave_one_out, mean_estimate


@pytest.mark.parametrize(
    ("samples", "multiple", "blocks"),
    [
        *((400, 10, 40), (1200, 10, 40), (4000, 10, 40), (500, 10, 25), (230, 10, 23)),
        *((100, 10, 10), (20, 10, 2), (70, 1, 35), (384, 1, 32), (7, 1, 7), (41 * 17, 1, 17)),
    ],
)
def test_block_count_examples(samples: int, multiple: int, blocks: int) -> None:
    assert block_count(samples, multiple) == blocks


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 12))
def test_block_count_is_the_largest_that_fits(samples: int, multiple: int) -> None:
    fits = [b for b in range(2, 41) if samples % b == 0 and (samples // b) % multiple == 0]
    if not fits:
        with pytest.raises(UserError, match="use a multiple of"):
            block_count(samples, multiple)
        return
    preferred = [b for b in fits if b >= 20] or fits
    assert block_count(samples, multiple) == max(preferred)


@pytest.mark.parametrize(("samples", "multiple"), [(410, 10), (405, 10), (41, 1), (0, 1), (1, 1)])
def test_impossible_counts_name_one_that_works(samples: int, multiple: int) -> None:
    with pytest.raises(UserError) as caught:
        block_count(samples, multiple)
    message = str(caught.value)
    assert str(samples) in message
    remedy = int(message.rsplit(" ", 1)[1])
    assert block_count(remedy, multiple) >= 20


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 10), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_jackknife_of_a_mean_is_the_mean_of_block_means(blocks: int, size: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=blocks * size)
    parts = values.reshape(blocks, size)
    without = np.array([np.delete(parts, b, axis=0).mean() for b in range(blocks)])
    expected = mean_estimate(values, blocks)
    for corrected in (False, True):
        estimate = from_leave_one_out(values.mean(), without, corrected=corrected)
        assert estimate.value == pytest.approx(expected.value, abs=1e-12)
        assert estimate.pseudo == pytest.approx(parts.mean(axis=1), abs=1e-12)
        assert expected.pseudo == pytest.approx(parts.mean(axis=1), abs=1e-12)


def test_blocks_of_one_give_the_textbook_standard_error() -> None:
    values = np.random.default_rng(3).exponential(size=50)
    assert mean_estimate(values, 50).standard_error == pytest.approx(stats.sem(values), rel=1e-12)


def test_correction_turns_the_plain_variance_into_the_unbiased_one() -> None:
    values = np.random.default_rng(4).normal(size=30)
    without = np.array([np.delete(values, i).var() for i in range(30)])
    plain = from_leave_one_out(values.var(), without, corrected=False)
    corrected = from_leave_one_out(values.var(), without, corrected=True)
    assert plain.value == values.var()
    assert corrected.value == pytest.approx(values.var(ddof=1), rel=1e-12)
    assert plain.pseudo == corrected.pseudo


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(-1, 30))
def test_cut_keeps_all_rows_in_order_or_refuses(rows: int, blocks: int) -> None:
    values = np.arange(3 * rows).reshape(rows, 3)
    if blocks < 2 or rows == 0 or rows % blocks:
        with pytest.raises(ValueError, match="equal blocks"):
            cut(values, blocks)
        return
    parts = cut(values, blocks)
    assert parts.shape == (blocks, rows // blocks, 3)
    assert np.array_equal(parts.reshape(rows, 3), values)


def test_classes_stay_balanced_in_every_block() -> None:
    labels = np.arange(1200) % 10
    for part in cut(labels, block_count(1200, 10)):
        assert np.array_equal(np.bincount(part, minlength=10), np.full(10, 3))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50.0), st.integers(2, 40))
def test_a_bias_of_c_over_n_is_removed_exactly(c: float, blocks: int) -> None:
    samples = blocks * 10
    estimate = from_leave_one_out(
        2.0 + c / samples, np.full(blocks, 2.0 + c / (samples - 10)), corrected=True
    )
    assert estimate.value == pytest.approx(2.0, abs=1e-9)
