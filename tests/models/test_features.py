"""The features of the bundled models: bounded, honest, and those that are shipped."""

import copy
import dataclasses
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

from autosearch.diffusion.macs import count_macs
from autosearch.experiments.training.configs import SUBJECTS
from autosearch.experiments.training.real_images import RealImages
from autosearch.experiments.training.train_features import (
    accuracy,
    fit_features,
    reference_statistics,
)
from autosearch.models.base import as_rgb
from autosearch.models.classifier import (
    FEATURES_FILE,
    FeaturesClassifier,
    FeaturesConfig,
    ImageFeatures,
    load_features,
    local_detail,
)

NAMES = tuple(SUBJECTS)
SOAK = pytest.mark.soak


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@cache
def real(name: str) -> RealImages:
    return SUBJECTS[name].real()


@cache
def reference(name: str) -> dict[str, Tensor]:
    return load_file(FEATURES_FILE.with_name(f"{name}_reference.safetensors"))


@cache
def network(name: str) -> ImageFeatures:
    return load_features(FEATURES_FILE.with_name(f"{name}_features.safetensors"))


@cache
def quick(name: str) -> ImageFeatures:
    """In float32, for distances that need not be exact."""
    return copy.deepcopy(network(name)).float()


def frechet_distance(name: str, images: Tensor) -> float:
    """Plain Frechet distance of uint8 images [N, C, S, S] to the real ones."""
    features = quick(name).features(as_rgb(images))["features"].double().numpy()
    ours = {"mu": features.mean(axis=0), "sigma": np.cov(features, rowvar=False)}
    theirs = {
        "mu": reference(name)["features_mean"].numpy(),
        "sigma": reference(name)["features_cov"].numpy(),
    }
    return float(fid_statistics_to_metric(ours, theirs, False)["frechet_inception_distance"])


def noisy(images: RealImages, level: float) -> Tensor:
    noise = torch.randn(images.images.shape, generator=torch.Generator().manual_seed(0))
    return (images.images + 255.0 * level * noise).round().clamp(0, 255).to(torch.uint8)


def blurred(images: RealImages, width: float) -> Tensor:
    pixels = images.images.numpy().astype(np.float64)
    smooth = gaussian_filter(pixels, sigma=(0, 0, width, width))
    return torch.from_numpy(smooth).round().to(torch.uint8)


def without_classes(images: RealImages, share: float) -> Tensor:
    classes = int(images.labels.max()) + 1
    return images.images[images.labels >= round(share * classes)]


def collapsed(images: RealImages, share: float) -> Tensor:
    """As many images of each class as before, but only this share of them distinct."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for label in images.labels.unique():
        members = (images.labels == label).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        distinct = max(1, round((1.0 - share) * len(members)))
        rows.append(members[torch.arange(len(members)) % distinct])
    return images.images[torch.cat(rows)]


@pytest.mark.parametrize(
    ("spoil", "amounts"),
    [
        (noisy, [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4]),
        (blurred, [0.0, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.2]),
        (without_classes, [0.0, 0.1, 0.5]),
        (collapsed, [0.0, 0.5, 0.8, 0.9, 0.97, 0.99, 1.0]),
    ],
)
@pytest.mark.parametrize(
    "name", ["digits", *(pytest.param(name, marks=SOAK) for name in ("photos", "all photos"))]
)
def test_distance_rises_with_every_defect(
    name: str, spoil: Callable[[RealImages, float], Tensor], amounts: list[float]
) -> None:
    if name == "photos":  # which are many: every other amount
        amounts = amounts[::2]
    name = name.removeprefix("all ")
    if name == "photos" and spoil is without_classes:
        amounts = [0.0, 0.5]
    distances = [frechet_distance(name, spoil(real(name), amount)) for amount in amounts]
    assert distances[0] == pytest.approx(0.0, abs=1e-5)
    assert all(b > a for a, b in pairwise(distances)), distances


@pytest.mark.parametrize("name", NAMES)
def test_distance_sees_the_loss_of_any_class(name: str) -> None:
    images, labels = real(name).images, real(name).labels
    for label in labels.unique():
        kept = labels != label
        generator = torch.Generator().manual_seed(int(label))
        fair = torch.rand(len(kept), generator=generator) < kept.double().mean()
        assert frechet_distance(name, images[kept]) > 20.0 * frechet_distance(name, images[fair])


@pytest.mark.parametrize(("name", "count", "width"), [("digits", 1797, 64), ("photos", 4940, 48)])
def test_features_are_bounded_and_not_saturated(name: str, count: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (500, *real(name).images.shape[1:])
    extreme = torch.randint(0, 2, shape, generator=generator, dtype=torch.uint8) * 255
    features = network(name).features(as_rgb(extreme))["features"]
    assert features.abs().max() <= 1.0
    rows = reference(name)["features"]
    assert rows.shape == (count, width)
    assert (rows.abs() > 0.95).double().mean() < 0.1
    assert torch.linalg.eigvalsh(reference(name)["features_cov"]).min() > 0.0


@pytest.mark.parametrize("name", NAMES)
def test_features_do_not_depend_on_the_batches(name: str) -> None:
    images = as_rgb(real(name).images[:150])
    whole = network(name).features(images)
    assert whole["features"].dtype == whole["logits"].dtype == torch.float64
    assert whole["logits"].shape == (150, SUBJECTS[name].features.num_classes)
    for size in (1, 7, 64):
        parts = [network(name).features(part) for part in images.split(size)]
        for kind, values in whole.items():
            together = torch.cat([part[kind] for part in parts])
            torch.testing.assert_close(together, values, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("name", "least"), [("digits", 0.99), ("photos", 0.9)])
def test_shipped_features_know_the_real_images(name: str, least: float) -> None:
    for kept, values in real(name).stored.items():
        assert torch.equal(reference(name)[kept], values)
    assert accuracy(quick(name), real(name).images, real(name).targets) > least
    assert network(name).config == SUBJECTS[name].features


def test_classes_are_sums_over_their_parts() -> None:
    images, labels = real("photos").images[::50], real("photos").labels[::50]
    found = quick("photos").features(images)
    shares = found["kinds"].softmax(dim=1).unflatten(1, (2, 24)).sum(dim=2)
    torch.testing.assert_close(found["logits"].softmax(dim=1), shares)
    assert (found["logits"].argmax(dim=1) == labels).double().mean() > 0.98


@pytest.mark.parametrize("name", ["digits", pytest.param("photos", marks=SOAK)])
def test_shipped_statistics_are_those_of_the_shipped_features(name: str) -> None:
    again = reference_statistics(network(name), real(name))
    assert again.keys() == reference(name).keys()
    for kind, values in reference(name).items():
        torch.testing.assert_close(again[kind], values, msg=kind)
    rows = network(name).features(as_rgb(real(name).images))["features"].numpy()
    np.testing.assert_allclose(reference(name)["features_mean"], rows.mean(axis=0), atol=1e-12)
    covariance = np.cov(rows, rowvar=False)
    np.testing.assert_allclose(reference(name)["features_cov"], covariance, atol=1e-12)


def test_shipped_files_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FEATURES_FILE.parent.glob("*_*")}
    assert sizes["digits_features.safetensors"] < 200_000
    assert sizes["photos_features.safetensors"] < 1_200_000
    assert sizes["digits_reference.safetensors"] < 1_000_000
    assert sizes["photos_reference.safetensors"] < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_pixel_basis_is_orthonormal_and_diagonalises_the_pixels(name: str) -> None:
    basis, covariance = reference(name)["pixels_basis"], reference(name)["pixels_cov"]
    torch.testing.assert_close(basis.T @ basis, torch.eye(64, dtype=torch.float64))
    variances = covariance.diagonal()
    assert (covariance - torch.diag(variances)).abs().max() < 1e-12
    assert (basis.abs().amax(dim=0) == basis.amax(dim=0)).all()
    assert (variances.diff() < 1e-12).all()
    pixels = real(name).images.flatten(1).double() / 255.0
    share = variances.sum().item() / pixels.var(dim=0).sum().item()
    assert 0.95 < share <= 1.0 + 1e-9
    torch.testing.assert_close(reference(name)["pixels_mean"], pixels.mean(dim=0) @ basis)


def test_grey_is_the_mean_of_the_channels() -> None:
    grey = real("digits").images[:20, 0]
    coloured = torch.stack([grey, 255 - grey, torch.full_like(grey, 30)], dim=1)
    flat = as_rgb(torch.full_like(grey, 95)[:, None])
    ours, flats = (network("digits").features(images)["features"] for images in (coloured, flat))
    torch.testing.assert_close(ours, flats)


def test_colour_is_seen() -> None:
    images = real("photos").images[:20]
    ours = network("photos").features(images)["features"]
    swapped = network("photos").features(images.flip(1))["features"]
    assert (ours - swapped).abs().amax(dim=1).min() > 0.05


def test_local_detail_of_flat_and_of_striped_images() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., 8:, ::2] = 1.0
    flat, striped = (local_detail(x, 2)[0] for x in (torch.full((1, 3, 16, 16), 0.3), stripes))
    assert flat.exp().tolist() == pytest.approx([0.02] * 4, abs=1e-6)
    assert striped[:2].max() < striped[2:].min()
    inner = local_detail(stripes[..., 8:, :].tile(1, 1, 2, 1), 1).exp() - 0.02
    # A pixel is 2/3 away from the mean of its three columns, at the two edges 1/3.
    assert inner.item() == pytest.approx((14 * 2 / 3 + 2 * 1 / 3) / 16, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_macs_equal_the_operation_counter(name: str) -> None:
    with torch.no_grad(), count_macs() as counter:
        quick(name).features(as_rgb(real(name).images[:3]))
    assert counter.total == 3 * network(name).macs


def test_the_head_guides_as_it_scores() -> None:
    images = real("digits").images[:5]
    guide = FeaturesClassifier(network("digits"))
    data = images.double() / 127.5 - 1.0
    expected = network("digits").features(as_rgb(images))["logits"]
    torch.testing.assert_close(guide.logits(data), expected)
    assert guide.macs == network("digits").macs


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)]
)
def test_other_images_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8 images"):
        network("digits").features(images)


@pytest.mark.parametrize(
    "config",
    [
        FeaturesConfig(hidden=32),
        FeaturesConfig(channels=3, filters=(4, 6), hidden=32, features=8, detail=2, num_classes=2),
    ],
)
def test_config_and_weights_round_trip(tmp_path: Path, config: FeaturesConfig) -> None:
    model = ImageFeatures(config)
    images = real("digits").images[:20]
    model.fit_detail(as_rgb(images)[:, : config.channels].float() / 255.0)
    path = tmp_path / "features.safetensors"
    save_file(model.state_dict(), str(path), metadata={"config": config.to_json()})
    loaded = load_features(path)
    assert loaded.config == config
    expected = model.double().features(as_rgb(images))["features"]
    assert expected.shape == (20, config.width)
    assert torch.equal(loaded.features(as_rgb(images))["features"], expected)


@pytest.mark.parametrize("name", ["digits", pytest.param("photos", marks=pytest.mark.soak)])
def test_training_learns_and_is_a_function_of_the_seed(name: str) -> None:
    subject = SUBJECTS[name]
    rows = torch.arange(0, len(real(name).images), 1 if name == "digits" else 3)
    images, targets, labels = (
        part[rows] for part in (real(name).images, real(name).targets, real(name).labels)
    )
    config = dataclasses.replace(subject.features_training, epochs=8, seed=3)
    first, second = (
        fit_features(images, targets, sizes=subject.features, config=config) for _ in range(2)
    )
    for kind, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[kind])
    classes = first.float().features(as_rgb(images))["logits"].argmax(dim=1)
    # Chance is 0.1, and 0.5 of the two photographs.
    assert (classes == labels).double().mean() > {"digits": 0.9, "photos": 0.7}[name]
