"""Conversions between prediction types are exact in both directions."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.diffusion.prediction import Prediction, from_data_and_noise, to_data_and_noise
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving

KINDS = get_args(Prediction)
SCHEDULES: list[NoiseSchedule] = [VariancePreserving(), EDM(), RectifiedFlow()]


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    data, noise = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    return data, noise


@given(log_snr=st.floats(-6, 6))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=["vp", "edm", "flow"])
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: Prediction, schedule: NoiseSchedule, log_snr: float) -> None:
    data, noise = pair()
    alpha, sigma = schedule.alpha_sigma(log_snr)
    x = alpha * data + sigma * noise
    output = from_data_and_noise(kind, data, noise, alpha, sigma)
    data_again, noise_again = to_data_and_noise(kind, output, x, alpha, sigma)
    assert noise_again is not None
    torch.testing.assert_close(data_again, data, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(noise_again, noise, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["data", "v", "flow"])
def test_pure_noise_of_a_flow(kind: Prediction) -> None:
    data, noise = pair()
    output = from_data_and_noise(kind, data, noise, 0.0, 1.0)
    data_again, noise_again = to_data_and_noise(kind, output, noise, 0.0, 1.0)
    torch.testing.assert_close(data_again, data)
    torch.testing.assert_close(noise_again, noise)


def test_noise_prediction_at_pure_noise_says_nothing_of_the_data() -> None:
    _, noise = pair()
    with pytest.raises(ZeroDivisionError):
        to_data_and_noise("noise", noise, noise, 0.0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_clean_data(kind: Prediction) -> None:
    data, noise = pair()
    output = from_data_and_noise(kind, data, noise, 1.0, 0.0)
    data_again, noise_again = to_data_and_noise(kind, output, data, 1.0, 0.0)
    torch.testing.assert_close(data_again, data)
    if kind == "data":
        assert noise_again is None
    else:
        assert noise_again is not None
        torch.testing.assert_close(noise_again, noise)


@pytest.mark.parametrize("kind", ["v", "flow"])
def test_noise_keeps_its_digits_near_the_clean_end(kind: Prediction) -> None:
    """In single precision, by way of the data alone, half of the digits would be lost."""
    data, noise = (part.float() for part in pair())
    sigma = 1e-4
    alpha = math.sqrt(1 - sigma**2) if kind == "v" else 1 - sigma
    output = from_data_and_noise(kind, data, noise, alpha, sigma)
    _, again = to_data_and_noise(kind, output, alpha * data + sigma * noise, alpha, sigma)
    torch.testing.assert_close(again, noise, rtol=2e-6, atol=2e-6)


def test_signs_of_the_definitions() -> None:
    data, noise = torch.tensor([2.0]), torch.tensor([3.0])
    assert from_data_and_noise("v", data, noise, 0.8, 0.6).item() == pytest.approx(
        0.8 * 3 - 0.6 * 2
    )
    assert from_data_and_noise("flow", data, noise, 0.5, 0.5).item() == pytest.approx(1.0)
