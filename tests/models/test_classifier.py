from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch_fidelity.metric_fid import fid_statistics_to_metric

from autosearch.models.classifier import (
    FEATURES_FILE,
    DigitsFeatures,
    FeaturesConfig,
    load_features,
)
from autosearch.models.train_classifier import (
    ClassifierTrainConfig,
    accuracy,
    reference_statistics,
    train_classifier,
)
from autosearch.models.train_digits import digits_images

REFERENCE = FEATURES_FILE.with_name("digits_reference.safetensors")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def reference() -> dict[str, Tensor]:
    return load_file(REFERENCE)


@cache
def classifier() -> DigitsFeatures:
    return load_features()


def rgb(grey: Tensor) -> Tensor:
    return grey[:, None].expand(-1, 3, -1, -1)


def frechet_distance(grey: Tensor) -> float:
    """Plain Frechet distance of uint8 images [N, 8, 8] to the real digits."""
    features = classifier().features(rgb(grey))["features"].numpy()
    ours = {"mu": features.mean(axis=0), "sigma": np.cov(features, rowvar=False)}
    real = {
        "mu": reference()["features_mean"].numpy(),
        "sigma": reference()["features_cov"].numpy(),
    }
    return float(fid_statistics_to_metric(ours, real, False)["frechet_inception_distance"])


def noisy(images: Tensor, level: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + 255.0 * level * noise).round().clamp(0, 255).to(torch.uint8)


def blurred(images: Tensor, width: float) -> Tensor:
    smooth = gaussian_filter(images.numpy().astype(np.float64), sigma=(0, width, width))
    return torch.from_numpy(smooth).round().to(torch.uint8)


def without_classes(images: Tensor, count: float) -> Tensor:
    return images[reference()["labels"] >= count]


def collapsed(images: Tensor, share: float) -> Tensor:
    """As many images of each class as before, but only this share of them distinct."""
    rows = []
    for label in range(10):
        members = (reference()["labels"] == label).nonzero()[:, 0]
        distinct = max(1, round((1.0 - share) * len(members)))
        rows.append(members[torch.arange(len(members)) % distinct])
    return images[torch.cat(rows)]


@pytest.mark.parametrize(
    ("spoil", "amounts"),
    [
        (noisy, [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4]),
        (blurred, [0.0, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.2]),
        (without_classes, [0, 1, 2, 3, 5]),
        (collapsed, [0.0, 0.5, 0.8, 0.9, 0.97, 0.99, 1.0]),
    ],
)
def test_distance_rises_with_every_defect(
    spoil: Callable[[Tensor, float], Tensor], amounts: list[float]
) -> None:
    distances = [frechet_distance(spoil(reference()["images"], amount)) for amount in amounts]
    assert distances[0] == pytest.approx(0.0, abs=1e-6)
    assert all(b > a for a, b in pairwise(distances)), distances


@pytest.mark.parametrize("label", range(10))
def test_distance_sees_the_loss_of_any_class(label: int) -> None:
    kept = reference()["labels"] != label
    generator = torch.Generator().manual_seed(label)
    fair = torch.rand(len(kept), generator=generator) < kept.double().mean()
    images = reference()["images"]
    assert frechet_distance(images[kept]) > 20.0 * frechet_distance(images[fair])


def test_features_are_bounded_and_not_saturated() -> None:
    generator = torch.Generator().manual_seed(0)
    extreme = torch.randint(0, 2, (500, 8, 8), generator=generator, dtype=torch.uint8) * 255
    features = classifier().features(rgb(extreme))["features"]
    assert features.abs().max() <= 1.0
    real = reference()["features"]
    assert real.shape == (1797, 64)
    assert (real.abs() > 0.95).double().mean() < 0.1
    assert torch.linalg.eigvalsh(reference()["features_cov"]).min() > 0.0


def test_features_do_not_depend_on_the_batches() -> None:
    images = rgb(reference()["images"][:300])
    whole = classifier().features(images)
    assert whole["features"].dtype == whole["logits"].dtype == torch.float64
    assert whole["logits"].shape == (300, 10)
    for size in (1, 7, 64):
        parts = [classifier().features(part) for part in images.split(size)]
        for name, values in whole.items():
            together = torch.cat([part[name] for part in parts])
            torch.testing.assert_close(together, values, rtol=0.0, atol=1e-12)


def test_shipped_classifier_knows_the_digits_and_the_shipped_images_are_real() -> None:
    images, labels = digits_images()
    assert torch.equal(reference()["images"], images)
    assert torch.equal(reference()["labels"], labels)
    assert accuracy(classifier(), images, labels) > 0.99
    assert FEATURES_FILE.stat().st_size < 200_000


def test_shipped_statistics_are_those_of_the_shipped_classifier() -> None:
    images, labels = reference()["images"], reference()["labels"]
    again = reference_statistics(classifier(), images, labels)
    assert again.keys() == reference().keys()
    for name, values in reference().items():
        torch.testing.assert_close(again[name], values, msg=name)
    assert REFERENCE.stat().st_size < 1_000_000


def test_reference_moments_are_plain_moments() -> None:
    rows = classifier().features(rgb(reference()["images"]))["features"].numpy()
    np.testing.assert_allclose(reference()["features_mean"], rows.mean(axis=0), atol=1e-12)
    covariance = np.cov(rows, rowvar=False)
    np.testing.assert_allclose(reference()["features_cov"], covariance, atol=1e-12)


def test_pixel_basis_is_orthonormal_and_diagonalises_the_pixels() -> None:
    basis, covariance = reference()["pixels_basis"], reference()["pixels_cov"]
    torch.testing.assert_close(basis.T @ basis, torch.eye(64, dtype=torch.float64))
    variances = covariance.diagonal()
    assert (covariance - torch.diag(variances)).abs().max() < 1e-12
    assert (basis.abs().amax(dim=0) == basis.amax(dim=0)).all()
    assert (variances.diff() < 1e-12).all()
    pixels = reference()["images"].flatten(1).double() / 255.0
    assert variances.sum().item() == pytest.approx(pixels.var(dim=0).sum().item())
    torch.testing.assert_close(reference()["pixels_mean"], pixels.mean(dim=0) @ basis)


def test_grey_is_the_mean_of_the_channels() -> None:
    grey = reference()["images"][:20]
    coloured = torch.stack([grey, 255 - grey, torch.full_like(grey, 30)], dim=1)
    flat = torch.full_like(grey, 95)
    ours, flats = (classifier().features(images)["features"] for images in (coloured, rgb(flat)))
    torch.testing.assert_close(ours, flats)


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)]
)
def test_other_images_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        classifier().features(images)


def test_config_and_weights_round_trip(tmp_path: Path) -> None:
    config = FeaturesConfig(hidden=32)
    model = DigitsFeatures(config)
    path = tmp_path / "features.safetensors"
    save_file(model.state_dict(), str(path), metadata={"config": config.to_json()})
    images = rgb(reference()["images"][:20])
    loaded = load_features(path)
    assert loaded.config == config
    expected = model.double().features(images)["features"]
    assert torch.equal(loaded.features(images)["features"], expected)


def test_training_learns_and_is_a_function_of_the_seed() -> None:
    images, labels = reference()["images"], reference()["labels"]
    config = ClassifierTrainConfig(epochs=10, seed=3)
    first, second = (train_classifier(images, labels, config=config) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert accuracy(first, images, labels) > 0.9
