"""Precision and recall: which is which, torch-fidelity's values, and honest errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_prc import prc_features_to_metric

from autosearch._typing import Array
from autosearch.errors import UserError
from autosearch.objectives import Estimate, Precision, Recall
from autosearch.objectives.precision_recall import CHUNK


def measure(fake: Array, real: Array, blocks: int) -> tuple[Estimate, Estimate]:
    rows, reference = {"features": fake}, {"features": real}
    return (
        Precision().estimate(rows, reference, blocks),
        Recall().estimate(rows, reference, blocks),
    )


def artifact_store(fake: Array, real: Array) -> tuple[float, float]:
    tensors = torch.from_numpy(fake), torch.from_numpy(real)
    metric = prc_features_to_metric(*tensors, verbose=False)
    return metric["precision"], metric["recall"]


def draws(seed: int, samples: int, scale: float = 1.0, dimension: int = 5) -> Array:
    return scale * np.random.default_rng(seed).normal(size=(samples, dimension))


def test_a_collapsed_sampler_is_precise_and_a_wide_one_covers() -> None:
    real = draws(0, 500, dimension=2)
    precision, recall = measure(draws(1, 400, 0.05, 2), real, 20)
    assert precision.value > 0.95
    assert recall.value < 0.1
    precision, recall = measure(draws(2, 400, 5.0, 2), real, 20)
    assert precision.value < 0.4
    assert recall.value > 0.9


def test_one_sample_repeated() -> None:
    real = draws(3, 300, dimension=2)
    precision, recall = measure(np.tile(real[:1], (100, 1)), real, 20)
    assert precision.value == 1.0
    assert recall.value <= 1 / 300


@pytest.mark.parametrize("samples", [100, CHUNK + 200])
def test_values_are_torch_fidelitys(samples: int) -> None:
    fake, real = draws(4, samples, 1.2), draws(5, 300)
    precision, recall = measure(fake, real, 20)
    assert (precision.value, recall.value) == pytest.approx(artifact_store(fake, real), abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(4, 15), (10, 6), (20, 3), (30, 2), (60, 1)]))
def test_leaving_out_equals_doing_it_again(seed: int, shape: tuple[int, int]) -> None:
    blocks, size = shape
    fake, real = draws(seed, blocks * size, 0.7, 3), draws(seed + 1, 50, dimension=3)
    parts = fake.reshape(blocks, size, 3)
    for which, ours in enumerate(measure(fake, real, blocks)):
        theta = artifact_store(fake, real)[which]
        rests = (np.delete(parts, b, axis=0).reshape(-1, 3) for b in range(blocks))
        pseudo = [
            blocks * theta - (blocks - 1) * artifact_store(rest, real)[which] for rest in rests
        ]
        assert ours.value == pytest.approx(theta, abs=1e-6)
        assert ours.pseudo == pytest.approx(pseudo, abs=1e-4)


def test_errors_against_repeated_draws() -> None:
    """Precision's is right; recall's may be too large (see its docstring) but not too small."""
    rng = np.random.default_rng(6)
    real = rng.normal(size=(300, 4))
    both = [measure(0.9 * rng.normal(size=(200, 4)), real, 20) for _ in range(100)]
    for which, most in ((0, 1.25), (1, 2.0)):
        estimates = [pair[which] for pair in both]
        error = np.mean([e.standard_error for e in estimates])
        ratio = error / np.std([e.value for e in estimates])
        assert 0.8 < ratio < most


def test_order_within_a_block_does_not_matter() -> None:
    fake, real = draws(7, 120), draws(8, 80)
    mixed = fake.reshape(6, 20, 5)[:, ::-1].reshape(120, 5)
    for a, b in zip(measure(fake, real, 6), measure(mixed, real, 6), strict=True):
        assert a.value == pytest.approx(b.value, abs=1e-12)
        assert a.pseudo == pytest.approx(b.pseudo, abs=1e-12)


@pytest.mark.parametrize("objective", [Precision(), Recall()])
def test_a_reference_without_enough_rows(objective: Precision | Recall) -> None:
    rows = {"features": draws(9, 40)}
    with pytest.raises(UserError, match="3 rows of features; give at least 4"):
        objective.estimate(rows, {"features": draws(10, 3)}, 4)
    with pytest.raises(UserError, match="no 'features'"):
        objective.estimate(rows, {}, 4)
    assert objective.min_samples({"features": 64}) == 80
    assert objective.direction == "maximize"
