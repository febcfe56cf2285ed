"""KID against torch-fidelity's kernel and against doing it again."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kernel_mmd, kernel_poly

from autosearch._typing import Array
from autosearch.errors import UserError
from autosearch.objectives import Estimate, Kid, compare
from autosearch.objectives.kid import CHUNK, kernel, kernel_sum


def draws(seed: int, samples: int, dimension: int = 6, shift: float = 0.0) -> Array:
    return shift + np.random.default_rng(seed).normal(size=(samples, dimension))


def kid(fake: Array, real: Array, blocks: int) -> Estimate:
    return Kid().estimate({"features": fake}, {"features": real}, blocks)


def explicit(fake: Array, real: Array) -> float:
    """The U-statistic, written out."""
    same, cross, true = kernel_poly(fake, fake), kernel_poly(fake, real), kernel_poly(real, real)
    m, n = len(fake), len(real)
    within = (same.sum() - np.trace(same)) / (m * (m - 1))
    return within + (true.sum() - np.trace(true)) / (n * (n - 1)) - 2.0 * cross.mean()


def test_kernel_is_that_of_torch_fidelity() -> None:
    x, y = draws(0, 30), draws(1, 20)
    ours = kernel(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    assert ours == pytest.approx(kernel_poly(x, y), rel=1e-12)


def test_sum_over_more_rows_than_one_chunk() -> None:
    x, y = draws(2, CHUNK + 7, 2), draws(3, CHUNK + 1, 2)
    total = kernel_sum(torch.from_numpy(x), torch.from_numpy(y))
    assert total == pytest.approx(kernel_poly(x, y).sum(), rel=1e-10)


def test_equal_numbers_give_torch_fidelitys_value() -> None:
    fake, real = draws(4, 200, shift=0.3), draws(5, 200)
    assert kid(fake, real, 20).value == pytest.approx(kernel_mmd(fake, real), abs=1e-10)


def test_leaving_out_equals_doing_it_again() -> None:
    fake, real = draws(6, 60, shift=0.2), draws(7, 45)
    estimate = kid(fake, real, 6)
    theta = explicit(fake, real)
    parts = fake.reshape(6, 10, -1)
    without = [explicit(np.delete(parts, b, axis=0).reshape(50, -1), real) for b in range(6)]
    assert estimate.value == pytest.approx(theta, abs=1e-12)
    assert estimate.pseudo == pytest.approx([6 * theta - 5 * w for w in without], abs=1e-10)


def closed_form(mean: Array, real: Array) -> float:
    """The squared MMD between a Gaussian of unit covariance and the real rows.

    For a normal number A of mean m and variance v, E (A + 1)^3 = (m + 1)^3 + 3 (m + 1) v.
    """
    d, square = len(mean), float(mean @ mean)
    against = real @ mean / d + 1.0
    cross = (against**3 + 3.0 * against * (real**2).sum(axis=1) / d**2).mean()
    a = square / d + 1.0
    mixed = (square**2 + square * d + 2.0 * square) / d + square + d
    same = a**3 + 3.0 * a * square / d**2 + 3.0 * mixed / d**2
    true = kernel_poly(real, real)
    n = len(real)
    return float(same + (true.sum() - np.trace(true)) / (n * (n - 1)) - 2.0 * cross)


def test_intervals_hold_the_truth_and_the_value_has_no_bias() -> None:
    rng = np.random.default_rng(8)
    real = rng.normal(size=(300, 4))
    truth = closed_form(np.full(4, 0.3), real)
    estimates = [kid(0.3 + rng.normal(size=(200, 4)), real, 20) for _ in range(200)]
    values = np.array([e.value for e in estimates])
    assert abs(values.mean() - truth) < 3.0 * values.std(ddof=1) / np.sqrt(200)
    held = sum(low <= truth <= high for low, high in (e.interval() for e in estimates))
    assert held >= 180


def test_it_rises_with_noise() -> None:
    fake, real = draws(9, 400), draws(10, 600)
    noise = np.random.default_rng(11).normal(size=fake.shape)
    noisy = [kid(fake + level * noise, real, 20) for level in (0.0, 0.4, 0.8)]
    assert noisy[0].value < noisy[1].value < noisy[2].value
    assert compare(noisy[2], noisy[0])[1][0] > 0.0


def test_moments_alone_are_not_enough() -> None:
    rows = {"features": draws(12, 40)}
    with pytest.raises(UserError, match=r"kid: the reference has no 'features'"):
        Kid().estimate(rows, {"features_mean": np.zeros(6)}, 4)
    with pytest.raises(UserError, match="give at least 2"):
        Kid().estimate(rows, {"features": draws(13, 1)}, 4)
    assert Kid().min_samples({"features": 64}) == 40
