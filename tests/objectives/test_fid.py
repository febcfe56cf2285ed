"""FID: equal to the literature's when plain, honest about bias and error when corrected."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from autosearch._typing import Array, Rows
from autosearch.errors import Infeasible, UserError
from autosearch.objectives import Estimate, FdPixels, Fid, FidPlain, compare


def gaussian_reference(dimension: int) -> Rows:
    return {"features_mean": np.zeros(dimension), "features_cov": np.eye(dimension)}


def moments_of(rows: Array, source: str = "features") -> Rows:
    return {f"{source}_mean": rows.mean(axis=0), f"{source}_cov": np.cov(rows, rowvar=False)}


def fid(features: Array, reference: Rows, blocks: int = 20) -> Estimate:
    return Fid().estimate({"features": features}, reference, blocks)


@pytest.mark.parametrize("samples", [100, 400, 1000])
def test_plain_value_equals_torch_fidelity(samples: int) -> None:
    rng = np.random.default_rng(samples)
    mix = rng.normal(size=(32, 32)) / 6.0
    fake = np.tanh(rng.normal(size=(samples, 32)) @ mix + 0.1)
    real = np.tanh(rng.normal(size=(700, 32)) @ mix)
    statistics = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (fake, real)]
    expected = fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    ours = FidPlain().estimate({"features": fake}, moments_of(real), 20)
    assert ours.value == pytest.approx(expected, abs=1e-8)
    assert ours.pseudo == fid(fake, moments_of(real)).pseudo


def test_correction_removes_the_bias_with_the_number_of_samples() -> None:
    rng = np.random.default_rng(0)
    reference = gaussian_reference(16)
    truth = 16 * 0.1**2 + 16 * (1.1 - 1.0) ** 2
    plain = {}
    for samples in (400, 1000, 4000):
        rows = 0.1 + 1.1 * rng.normal(size=(samples, 16))
        corrected = fid(rows, reference, 40)
        plain[samples] = FidPlain().estimate({"features": rows}, reference, 40).value
        assert abs(corrected.value - truth) < 2.0 * corrected.standard_error
    assert plain[400] > plain[1000] > plain[4000] > truth
    assert plain[400] - truth > 2.0 * abs(fid(rows, reference).value - truth)


def test_correction_is_unbiased_on_average_where_plain_is_not() -> None:
    rng = np.random.default_rng(1)
    reference, truth = gaussian_reference(16), 16 * 0.1**2
    draws = [0.1 + rng.normal(size=(400, 16)) for _ in range(40)]
    corrected = np.array([fid(rows, reference).value for rows in draws])
    plain = np.array([FidPlain().estimate({"features": r}, reference, 20).value for r in draws])
    assert abs(corrected.mean() - truth) < 3.0 * stats.sem(corrected)
    assert plain.mean() - truth > 10.0 * stats.sem(plain)


def test_intervals_hold_the_truth() -> None:
    """200 sets of 400 rows in 4 dimensions: single, and paired with correlated noise."""
    rng = np.random.default_rng(2)
    reference = gaussian_reference(4)
    truths = [4 * 0.3**2 + 4 * 0.2**2, 4 * 0.4**2 + 4 * 0.3**2]
    single = paired = 0
    for _ in range(200):
        noise = rng.normal(size=(400, 4))
        near = 0.9 * noise + np.sqrt(1 - 0.81) * rng.normal(size=(400, 4))
        a, b = fid(0.3 + 1.2 * noise, reference), fid(0.4 + 1.3 * near, reference)
        low, high = a.interval()
        single += low <= truths[0] <= high
        low, high = compare(a, b)[1]
        paired += low <= truths[0] - truths[1] <= high
    assert single >= 180
    assert paired >= 180


def test_intervals_hold_the_truth_of_a_perfect_sampler() -> None:
    """At distance zero the statistic has no linear part; the interval must still be honest."""
    rng = np.random.default_rng(3)
    reference = gaussian_reference(4)
    intervals = [fid(rng.normal(size=(400, 4)), reference).interval() for _ in range(200)]
    assert sum(low <= 0.0 <= high for low, high in intervals) >= 180


def test_pairing_is_narrower_than_independent_errors() -> None:
    rng = np.random.default_rng(4)
    reference = gaussian_reference(8)
    noise = rng.normal(size=(400, 8))
    a, b = fid(0.3 + 1.2 * noise, reference), fid(0.3 + 1.22 * noise, reference)
    low, high = compare(a, b)[1]
    independent = np.hypot(a.standard_error, b.standard_error) * stats.t.ppf(0.975, 19)
    assert high - low < 0.3 * 2 * independent
    assert high < 0.0, "the wider sampler is farther, which pairing must show"


def two_classes(rng: np.random.Generator, samples: int, kept: int = 2) -> Array:
    centres = np.where(np.arange(samples) % kept == 0, -1.0, 1.0)[:, None]
    return centres + 0.5 * rng.normal(size=(samples, 8))


def test_it_rises_with_every_defect() -> None:
    rng = np.random.default_rng(5)
    reference = moments_of(two_classes(rng, 4000))
    good = two_classes(rng, 1000)
    worse = [good + level * rng.normal(size=good.shape) for level in (0.3, 0.6, 1.0)]
    values = [fid(rows, reference).value for rows in (good, *worse)]
    assert values == sorted(values)
    best = fid(good, reference)
    blurred = fid(0.8 * good, reference)
    dropped = fid(two_classes(rng, 1000, kept=1), reference)
    duplicates = fid(np.tile(good[:40], (25, 1)), reference)
    for defect in (worse[0], 0.8 * good):
        assert compare(fid(defect, reference), best)[1][0] > 0.0
    assert min(blurred.value, dropped.value, duplicates.value) > best.interval()[1]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_order_within_a_block_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, 4))
    mixed = np.stack([block[rng.permutation(10)] for block in rows.reshape(6, 10, 4)])
    a = fid(rows, gaussian_reference(4), 6)
    b = fid(mixed.reshape(60, 4), gaussian_reference(4), 6)
    assert a.value == pytest.approx(b.value, abs=1e-10)
    assert a.pseudo == pytest.approx(b.pseudo, abs=1e-9)


def test_rows_of_another_dtype_or_layout() -> None:
    rows = np.random.default_rng(6).normal(size=(200, 4)).astype(np.float32)
    reference = {k: v.astype(np.float32) for k, v in gaussian_reference(4).items()}
    expected = fid(rows.astype(np.float64), gaussian_reference(4))
    assert fid(rows, reference).value == pytest.approx(expected.value, abs=1e-12)
    assert fid(np.asfortranarray(rows), reference).value == pytest.approx(expected.value, abs=1e-12)
    half = fid(rows.astype(np.float16), reference)
    assert half.value == pytest.approx(expected.value, abs=1e-2)


def test_pixels_are_scored_like_features() -> None:
    rows = np.random.default_rng(7).normal(size=(400, 6))
    reference = {"pixels_mean": np.zeros(6), "pixels_cov": np.eye(6)}
    ours = FdPixels().estimate({"pixels": rows, "features": rows + 9.0}, reference, 20)
    assert ours == fid(rows, gaussian_reference(6))


def test_least_number_of_samples() -> None:
    class Bold(Fid):
        samples_per_dimension = 2

    assert Fid().min_samples({"features": 64}) == 384
    assert FdPixels().min_samples({"features": 8, "pixels": 64}) == 384
    assert Bold().min_samples({"features": 64}) == 128
    with pytest.raises(UserError, match="fid: needs 'features', but this model gives pixels"):
        Fid().min_samples({"pixels": 64})


def test_what_cannot_be_measured_is_refused() -> None:
    rows = np.random.default_rng(8).normal(size=(40, 4))
    reference = gaussian_reference(4)
    with pytest.raises(UserError, match="needs 'features', but this model gives logits"):
        Fid().estimate({"logits": rows}, reference, 4)
    with pytest.raises(UserError, match=r"the reference has no 'features_cov' \(it holds feat"):
        fid(rows, {"features_mean": np.zeros(4)}, 4)
    with pytest.raises(UserError, match="4 columns"):
        fid(rows, gaussian_reference(5), 4)
    with pytest.raises(UserError, match="not finite; make it again"):
        fid(rows, {**reference, "features_mean": np.full(4, np.nan)}, 4)
    with pytest.raises(ValueError, match="7 equal blocks"):
        fid(rows, reference, 7)
    with pytest.raises(ValueError, match="3 axes, expected 2"):
        fid(rows.reshape(40, 2, 2), reference, 4)
    broken = rows.copy()
    broken[3, 1], broken[5, 0] = np.nan, np.inf
    with pytest.raises(Infeasible, match="features of 2 of 40 samples are not finite"):
        fid(broken, reference, 4)
