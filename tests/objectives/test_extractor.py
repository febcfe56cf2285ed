"""A feature function of our own inside torch-fidelity: the same images give the same numbers."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity import calculate_metrics

from autosearch.errors import UserError
from autosearch.objectives import (
    FidPlain,
    ImageRows,
    InceptionScore,
    Kid,
    Precision,
    Recall,
    register,
)

PROVIDED = {"features": 6, "logits": 4}
SIZE = 5


def network(images: Tensor) -> dict[str, Tensor]:
    """A fixed random feature network in float64."""
    weights = torch.randn(3 * SIZE**2, 10, generator=torch.Generator().manual_seed(0)).double()
    hidden = torch.tanh((images.double() / 127.5 - 1.0).flatten(1) @ weights / 4.0)
    return {"features": hidden[:, :6], "logits": 3.0 * hidden[:, 6:]}


def images(seed: int, count: int, brightest: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, SIZE, SIZE)
    return torch.randint(0, brightest, shape, generator=generator, dtype=torch.uint8)


def test_all_metrics_equal_torch_fidelitys_on_the_same_images() -> None:
    register("test-all", network, PROVIDED)
    fake, real = images(1, 160, 230), images(2, 160)
    theirs = calculate_metrics(
        input1=ImageRows(fake), input2=ImageRows(real), fid=True, isc=True, kid=True, prc=True,
        feature_extractor="test-all", feature_layer_fid="features", isc_splits=1, kid_subsets=1,
        kid_subset_size=160, cuda=False, cache=False, verbose=False, save_cpu_ram=True,
    )  # fmt: skip
    rows = {name: values.numpy() for name, values in network(fake).items()}
    true = network(real)["features"].numpy()
    reference = {
        "features": true,
        "features_mean": true.mean(axis=0),
        "features_cov": np.cov(true, rowvar=False),
    }
    for objective, key in (
        (FidPlain(), "frechet_inception_distance"),
        (InceptionScore(), "inception_score_mean"),
        (Kid(), "kernel_inception_distance_mean"),
        (Precision(), "precision"),
        (Recall(), "recall"),
    ):
        ours = objective.estimate(rows, reference, 20).value
        assert ours == pytest.approx(theirs[key], abs=1e-6), objective.name


def test_fid_alone_in_small_batches() -> None:
    register("test-fid", network, PROVIDED)
    fake, real = images(3, 90, 200), images(4, 70)
    options = {"cuda": False, "cache": False, "verbose": False, "save_cpu_ram": True}
    theirs = calculate_metrics(
        input1=ImageRows(fake), input2=ImageRows(real), fid=True, batch_size=32,
        feature_extractor="test-fid", feature_layer_fid="features", **options,
    )  # fmt: skip
    true = network(real)["features"].numpy()
    reference = {"features_mean": true.mean(axis=0), "features_cov": np.cov(true, rowvar=False)}
    ours = FidPlain().estimate({"features": network(fake)["features"].numpy()}, reference, 18)
    assert ours.value == pytest.approx(theirs["frechet_inception_distance"], abs=1e-6)


def test_features_are_made_float64_and_come_in_the_order_asked_for() -> None:
    def narrow(batch: Tensor) -> dict[str, Tensor]:
        return {name: values.float() for name, values in network(batch).items()}

    extractor = register("test-order", narrow, PROVIDED)("test-order", ["logits", "features"])
    logits, features = extractor(images(5, 8))
    assert logits.shape == (8, 4)
    assert features.shape == (8, 6)
    assert logits.dtype == features.dtype == torch.float64
    assert extractor.get_default_feature_layer_for_metric("isc") == "logits"
    assert extractor.get_default_feature_layer_for_metric("fid") == "features"


def test_a_name_belongs_to_one_function() -> None:
    first = register("test-name", network, PROVIDED)
    assert register("test-name", network, dict(PROVIDED)) is first
    with pytest.raises(UserError, match="'test-name' is registered already; choose another"):
        register("test-name", lambda batch: {}, PROVIDED)
    with pytest.raises(UserError, match="'inception-v3-compat' is registered already"):
        register("inception-v3-compat", network, PROVIDED)
    with pytest.raises(UserError, match="whitespace"):
        register(" spaced ", network, PROVIDED)


def test_a_width_that_is_not_as_declared() -> None:
    extractor = register("test-width", network, {"features": 7, "other": 1})
    with pytest.raises(UserError, match=r"'features' is \[2, 6\], declared \[B, 7\]"):
        extractor("test-width", ["features"])(images(6, 2))
    with pytest.raises(UserError, match="'other' is not given"):
        extractor("test-width", ["other"])(images(6, 2))


def test_image_rows() -> None:
    colour = images(7, 3)
    rows = ImageRows(colour)
    assert len(rows) == 3
    assert torch.equal(rows[1], colour[1])
    assert [torch.equal(a, b) for a, b in zip(rows, colour, strict=True)] == [True] * 3
    grey = ImageRows(colour[:, :1])
    assert grey[2].shape == (3, SIZE, SIZE)
    assert torch.equal(grey[2][0], grey[2][2])
    for wrong in (colour.float(), colour[0], colour[:, :2]):
        with pytest.raises(UserError, match="expected uint8"):
            ImageRows(wrong)
