"""The exact denoiser against independent formulas for the same posterior."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from autosearch.diffusion.prediction import Prediction, to_data_and_noise
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.sites.branches import COND, UNCOND
from autosearch.models.exact import ExactDenoiser, Mixture

SCHEDULES: list[NoiseSchedule] = [VariancePreserving("cosine"), EDM(), RectifiedFlow()]
schedules = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.family)


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    return Mixture.random(components=5, dimension=3, seed=9)


def points(count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 1.5 * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def log_density(mixture: Mixture, x: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
    """``log p_t`` of the noised mixture by torch's own distributions."""
    covariances = torch.as_tensor(alpha**2 * mixture.covariances + sigma**2 * np.eye(3))
    parts = torch.distributions.MultivariateNormal(
        alpha * torch.as_tensor(mixture.means), covariance_matrix=covariances
    )
    weights = torch.distributions.Categorical(probs=torch.as_tensor(mixture.weights))
    return torch.distributions.MixtureSameFamily(weights, parts).log_prob(x)


@pytest.mark.parametrize("log_snr", [-3.0, -0.5, 0.8, 3.0])
@schedules
def test_tweedie(schedule: NoiseSchedule, log_snr: float, mixture: Mixture) -> None:
    """``alpha E[x_0 | x] = x + sigma**2 grad log p(x)``."""
    denoiser = ExactDenoiser(mixture, schedule, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(log_snr)
    x = points().requires_grad_()
    (score,) = torch.autograd.grad(log_density(mixture, x, alpha, sigma).sum(), x)
    expected = (x + sigma**2 * score).detach() / alpha
    got = denoiser.posterior_mean(x.detach(), alpha, sigma)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_posterior_by_bayes_rule(mixture: Mixture) -> None:
    """Importance-weighted draws of the data give the same mean, within their error."""
    rng = np.random.default_rng(0)
    data = mixture.sample(400_000, rng)
    alpha, sigma = 0.8, 0.6
    x = np.array([0.4, -0.3, 0.2])
    weights = multivariate_normal(x, sigma**2 * np.eye(3)).pdf(alpha * data)
    expected = weights @ data / weights.sum()
    denoiser = ExactDenoiser(mixture, VariancePreserving(), dtype=torch.float64)
    got = denoiser.posterior_mean(torch.as_tensor(x)[None], alpha, sigma)[0].numpy()
    assert got == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("said", ["noise", "data", "v", "flow"])
@schedules
def test_every_prediction_type_says_the_same(
    schedule: NoiseSchedule, said: Prediction, mixture: Mixture
) -> None:
    time = schedule.time(0.3)
    denoiser = ExactDenoiser(mixture, schedule, said, dtype=torch.float64)
    output = denoiser.denoise(points(), time, None)["cond"]
    alpha, sigma = schedule.alpha_sigma(schedule.log_snr(time))
    data, noise = to_data_and_noise(said, output, points(), alpha, sigma)
    assert noise is not None
    expected = denoiser.posterior_mean(points(), alpha, sigma)
    torch.testing.assert_close(data, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(alpha * data + sigma * noise, points(), rtol=1e-9, atol=1e-9)


def test_limits(mixture: Mixture) -> None:
    """Pure noise says nothing, so the mean is the mixture's; hardly any noise says all."""
    denoiser = ExactDenoiser(mixture, RectifiedFlow(), "data", dtype=torch.float64)
    mean = torch.as_tensor(mixture.mean).expand(6, 3)
    torch.testing.assert_close(denoiser.denoise(points(), 1.0, None)["cond"], mean)
    data = torch.as_tensor(mixture.sample(6, np.random.default_rng(2)))
    near = denoiser.posterior_mean(data, 1.0, 1e-4)
    torch.testing.assert_close(near, data, rtol=1e-4, atol=1e-4)


def test_branches_all_say_the_same(mixture: Mixture) -> None:
    denoiser = ExactDenoiser(mixture, EDM())
    outputs = denoiser.denoise(points().float(), 1.0, None, branches=(COND, UNCOND))
    assert torch.equal(outputs["cond"], outputs["uncond"])


def test_single_precision_is_finite_at_both_ends(mixture: Mixture) -> None:
    for schedule in SCHEDULES:
        denoiser = ExactDenoiser(mixture, schedule, "v")
        for time in (schedule.first, schedule.last):
            scale = max(1.0, schedule.alpha_sigma(schedule.log_snr(time))[1])
            output = denoiser.denoise(scale * points().float(), time, None)["cond"]
            assert output.dtype == torch.float32
            assert output.isfinite().all()


def test_moments_are_those_of_the_draws(mixture: Mixture) -> None:
    draws = mixture.sample(200_000, np.random.default_rng(5))
    assert draws.mean(0) == pytest.approx(mixture.mean, abs=0.01)
    assert np.cov(draws.T) == pytest.approx(mixture.covariance, abs=0.02)


def test_random_mixtures_have_unit_mean_square() -> None:
    for seed in range(4):
        mixture = Mixture.random(components=3, dimension=5, seed=seed, spread=2.0)
        square = np.trace(mixture.covariance) + mixture.mean @ mixture.mean
        assert square / 5 == pytest.approx(1.0)
        assert mixture.weights.sum() == pytest.approx(1.0)
        assert np.linalg.eigvalsh(mixture.covariances).min() > 0


def test_digest_follows_the_parameters() -> None:
    one, same, other = (Mixture.random(components=2, dimension=2, seed=s) for s in (0, 0, 1))
    assert one.digest == same.digest
    assert one.digest != other.digest
    moved = Mixture(one.weights, one.means + 1e-12, one.covariances)
    assert moved.digest != one.digest
    assert ExactDenoiser(one, EDM()).weights == one.digest[:16]


def test_one_gaussian_has_its_moments() -> None:
    covariance = np.array([[2.0, 0.3], [0.3, 0.5]])
    gaussian = Mixture.gaussian(np.array([1.0, -1.0]), covariance)
    assert gaussian.dimension == 2
    assert gaussian.mean == pytest.approx([1.0, -1.0])
    assert gaussian.covariance == pytest.approx(covariance)
    denoiser = ExactDenoiser(gaussian, EDM(), dtype=torch.float64)
    x = torch.tensor([[0.0, 3.0]], dtype=torch.float64)
    gain = covariance @ np.linalg.inv(covariance + math.pi**2 * np.eye(2))
    expected = gaussian.mean + gain @ (x[0].numpy() - gaussian.mean)
    assert denoiser.posterior_mean(x, 1.0, math.pi)[0].numpy() == pytest.approx(expected)
