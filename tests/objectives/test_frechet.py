"""The Frechet distance against closed forms, and leaving out against doing it again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch._typing import Array
from autosearch.objectives.frechet import FrechetReference, Moments, leave_one_out


def covariance(seed: int, dimension: int, rank: int | None = None) -> Array:
    factor = np.random.default_rng(seed).normal(size=(dimension, rank or dimension))
    return factor @ factor.T


def distance(mean: Array, cov: Array, other_mean: Array, other_cov: Array) -> float:
    reference = FrechetReference.of(other_mean, other_cov)
    return reference.distance(torch.from_numpy(mean - other_mean), torch.from_numpy(cov))


def test_equal_covariances_leave_the_distance_of_the_means() -> None:
    cov = covariance(0, 8)
    mean = np.arange(8.0)
    assert distance(mean, cov, np.ones(8), cov) == pytest.approx(((mean - 1) ** 2).sum(), rel=1e-9)


def test_commuting_covariances_compare_standard_deviations() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.1, 3.0, size=(2, 8))
    basis = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    first, second = ((basis * s**2) @ basis.T for s in (a, b))
    zero = np.zeros(8)
    assert distance(zero, first, zero, second) == pytest.approx(((a - b) ** 2).sum(), rel=1e-10)


def test_two_dimensions_in_closed_form() -> None:
    first, second = covariance(2, 2), covariance(3, 2)
    # tr sqrt(M) of a 2 x 2 matrix is sqrt(tr M + 2 sqrt(det M)).
    product = first @ second
    cross = np.sqrt(np.trace(product) + 2.0 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first) + np.trace(second) - 2.0 * cross
    zero = np.zeros(2)
    assert distance(zero, first, zero, second) == pytest.approx(expected, rel=1e-10)


def test_singular_covariances() -> None:
    zero = np.zeros(6)
    flat = np.diag([1.0, 4.0, 0.0, 0.0, 0.0, 0.0])
    other = np.diag([0.0, 0.0, 0.0, 9.0, 1.0, 0.0])
    assert distance(zero, flat, zero, other) == pytest.approx(15.0, abs=1e-9)
    assert distance(zero, np.zeros((6, 6)), zero, other) == pytest.approx(10.0, abs=1e-12)
    thin = covariance(4, 6, rank=2)
    assert distance(zero, thin, zero, thin) == pytest.approx(0.0, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_it_is_a_squared_distance(seed: int, dimension: int) -> None:
    means = np.random.default_rng(seed).normal(size=(2, dimension))
    first, second = covariance(seed, dimension), covariance(seed + 1, dimension)
    forward = distance(means[0], first, means[1], second)
    assert forward >= -1e-9
    assert forward == pytest.approx(distance(means[1], second, means[0], first), abs=1e-6)
    assert distance(means[0], first, means[0], first) == pytest.approx(0.0, abs=1e-6)
    basis = np.linalg.qr(covariance(seed + 2, dimension))[0]
    turned = [(basis @ m, basis @ c @ basis.T) for m, c in zip(means, (first, second), strict=True)]
    assert forward == pytest.approx(distance(*turned[0], *turned[1]), abs=1e-6)


def test_moments_are_those_of_numpy_with_or_without_some_rows() -> None:
    rows = np.random.default_rng(5).normal(size=(50, 4))
    whole, part = Moments.of(torch.from_numpy(rows)), Moments.of(torch.from_numpy(rows[10:20]))
    rest = np.delete(rows, slice(10, 20), axis=0)
    for moments, expected in ((whole, rows), (whole - part, rest)):
        assert moments.count == len(expected)
        assert moments.mean.numpy() == pytest.approx(expected.mean(axis=0), abs=1e-12)
        cov = np.cov(expected, rowvar=False)
        assert moments.covariance.numpy() == pytest.approx(cov, abs=1e-12)


@pytest.mark.parametrize(("offset", "tolerance"), [(0.0, 1e-10), (1e5, 1e-6)])
def test_leaving_out_equals_doing_it_again(offset: float, tolerance: float) -> None:
    rng = np.random.default_rng(6)
    rows = offset + 1.3 * rng.normal(size=(120, 5))
    mean, cov = np.full(5, offset), covariance(7, 5)
    theta, without = leave_one_out(rows, 8, FrechetReference.of(mean, cov))
    cases = [rows, *(np.delete(rows.reshape(8, 15, 5), b, axis=0).reshape(-1, 5) for b in range(8))]
    again = [distance(r.mean(axis=0), np.cov(r, rowvar=False), mean, cov) for r in cases]
    assert theta == pytest.approx(again[0], abs=tolerance)
    assert without == pytest.approx(np.array(again[1:]), abs=tolerance)


def test_fewer_rows_than_dimensions() -> None:
    rows = np.random.default_rng(8).normal(size=(10, 30))
    theta, without = leave_one_out(rows, 5, FrechetReference.of(np.zeros(30), np.eye(30)))
    assert np.isfinite([theta, *without]).all()
    cov = np.linalg.eigvalsh(np.cov(rows, rowvar=False)).clip(min=0.0)
    expected = (rows.mean(axis=0) ** 2).sum() + ((np.sqrt(cov) - 1.0) ** 2).sum()
    assert theta == pytest.approx(expected, rel=1e-6)
