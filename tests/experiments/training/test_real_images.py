"""The real images: where they come from, and how crops are cut."""

import numpy as np
import torch

from autosearch.experiments.training.real_images import (
    SHRINK,
    crop_cells,
    digits,
    photographs,
    photos,
)
from autosearch.models.bundled import CROP, crops


def test_digits_are_scikit_learn_s() -> None:
    from sklearn.datasets import load_digits

    real = digits()
    assert real.images.shape == (1797, 1, 8, 8)
    expected = np.round(load_digits().images * 255.0 / 16.0)
    np.testing.assert_array_equal(real.images[:, 0].numpy(), expected)
    assert torch.equal(real.labels, real.targets)
    assert real.labels.bincount().tolist() == np.bincount(load_digits().target).tolist()


def test_photographs_are_means_of_squares() -> None:
    from sklearn.datasets import load_sample_images

    small = photographs()
    assert small.shape == (2, 3, 427 // SHRINK, 640 // SHRINK)
    for image, shrunk in zip(load_sample_images().images, small.numpy(), strict=True):
        for row, column in ((0, 0), (52, 79), (17, 33)):
            square = image[SHRINK * row :, SHRINK * column :][:SHRINK, :SHRINK]
            expected = square.astype(np.float64).mean(axis=(0, 1))
            assert np.abs(shrunk[:, row, column] - expected).max() <= 0.5


def test_crops_are_all_windows_row_by_row() -> None:
    small = torch.arange(2 * 3 * 18 * 20).view(2, 3, 18, 20)
    images, labels = crops(small)
    assert images.shape == (2 * 3 * 5, 3, CROP, CROP)
    assert labels.tolist() == [0] * 15 + [1] * 15
    expected = [
        small[p, :, i : i + CROP, j : j + CROP]
        for p in range(2)
        for i in range(3)
        for j in range(5)
    ]
    assert torch.equal(images, torch.stack(expected))


def test_cells_tell_where_a_crop_lies() -> None:
    small = torch.zeros(2, 3, CROP + 7, CROP + 11)  # 8 x 12 positions: cells of 2 x 2
    cells = crop_cells(small).view(2, 8, 12)
    assert cells[0, :2, :2].unique().tolist() == [0]
    assert cells[0, 2:4, 2:4].unique().tolist() == [7]
    assert cells[1, 6:, 10:].unique().tolist() == [47]
    assert cells.flatten().bincount().tolist() == [4] * 48


def test_photos_fit_together() -> None:
    real = photos()
    assert real.images.dtype == torch.uint8
    assert len(real.images) == len(real.labels) == len(real.targets) == 2 * 38 * 65
    assert torch.equal(real.targets // 24, real.labels)
    assert real.targets.bincount().min() > 80
    images, labels = crops(real.stored["photographs"])
    assert torch.equal(images, real.images)
    assert torch.equal(labels, real.labels)
