"""The Inception score against torch-fidelity's and closed forms."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from autosearch._typing import Array
from autosearch.objectives import Estimate, InceptionScore


def score(logits: Array, blocks: int = 20) -> Estimate:
    return InceptionScore().estimate({"logits": logits}, {}, blocks)


def torch_fidelity_score(logits: Array) -> float:
    metric = isc_features_to_metric(torch.from_numpy(logits), splits=1, shuffle=False)
    return float(metric["inception_score_mean"])


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 40.0])
def test_value_is_torch_fidelitys_with_one_split(scale: float) -> None:
    logits = scale * np.random.default_rng(0).normal(size=(200, 10))
    assert score(logits).value == pytest.approx(torch_fidelity_score(logits), rel=1e-10)


def test_leaving_out_equals_doing_it_again() -> None:
    logits = 2.0 * np.random.default_rng(1).normal(size=(60, 5))
    theta = torch_fidelity_score(logits)
    parts = logits.reshape(6, 10, 5)
    without = [torch_fidelity_score(np.delete(parts, b, axis=0).reshape(50, 5)) for b in range(6)]
    expected = [6 * theta - 5 * w for w in without]
    assert score(logits, 6).pseudo == pytest.approx(expected, rel=1e-9)


def test_it_lies_between_one_and_the_number_of_classes() -> None:
    sure = np.where(np.eye(10)[np.arange(200) % 10] > 0, 0.0, -1e4)
    assert score(sure).value == pytest.approx(10.0, rel=1e-9)
    assert score(sure).standard_error == pytest.approx(0.0, abs=1e-9)
    one_class = np.tile(sure[:1], (200, 1))
    assert score(one_class).value == pytest.approx(1.0, abs=1e-9)
    assert score(np.zeros((200, 10))).value == pytest.approx(1.0, abs=1e-9)


def test_a_class_that_one_block_alone_holds() -> None:
    logits = np.where(np.eye(3)[np.arange(60) // 30] > 0, 0.0, -1e4)
    logits[:10] = np.array([-1e4, -1e4, 0.0])
    estimate = score(logits, 6)
    assert np.isfinite(estimate.pseudo).all()


def test_the_error_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(2)
    estimates = [score(2.0 * rng.normal(size=(400, 5))) for _ in range(150)]
    spread = np.std([e.value for e in estimates])
    assert np.mean([e.standard_error for e in estimates]) == pytest.approx(spread, rel=0.25)


def test_least_number_of_samples() -> None:
    assert InceptionScore().min_samples({"logits": 10}) == 100
