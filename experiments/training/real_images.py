"""The real images that the bundled models learn and are scored against."""

from dataclasses import dataclass

import torch
from torch import Tensor

from autosearch.models.bundled import CROP, crops

__all__ = ["SHRINK", "RealImages", "crop_cells", "digits", "photographs", "photos"]

SHRINK = 8
_CELL_ROWS, _CELL_COLUMNS = 4, 6


@dataclass(frozen=True, kw_only=True)
class RealImages:
    """A data set.

    Attributes:
        images: uint8 [N, channels, size, size].
        labels: int64 [N], what the network is conditioned on.
        targets: int64 [N], what the features are trained to tell apart.
        stored: what the file of reference statistics keeps of the images, by name.
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    stored: dict[str, Tensor]


def digits() -> RealImages:
    """Scikit-learn's 1,797 handwritten digits: grey, 8x8, ten classes.

    The data's 17 grey levels x / 16 become round(255 x / 16). Needs scikit-learn (extra `train`).
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = torch.as_tensor(data.images, dtype=torch.float64) / 16.0
    images = (grey * 255.0).round().to(torch.uint8)
    labels = torch.as_tensor(data.target, dtype=torch.int64)
    return RealImages(
        images=images[:, None],
        labels=labels,
        targets=labels,
        stored={"images": images, "labels": labels},
    )


def photos() -> RealImages:
    """All 16x16 crops of scikit-learn's two sample photographs; the class is the photograph.

    What the features tell apart is the photograph and the cell, of a grid of 4x6, in which the
    crop lies. Needs scikit-learn (extra `train`).
    """
    small = photographs()
    images, labels = crops(small)
    stored = {"photographs": small}
    return RealImages(images=images, labels=labels, targets=crop_cells(small), stored=stored)


def photographs() -> Tensor:
    """`china.jpg` and `flower.jpg`, each pixel the mean of 8x8: uint8 [2, 3, 53, 80].

    What is left over at the lower edge (427 = 53 * 8 + 3 rows) is cut off.
    """
    from sklearn.datasets import load_sample_images

    return torch.stack([_shrunk(torch.tensor(image)) for image in load_sample_images().images])


def _shrunk(image: Tensor) -> Tensor:
    """Uint8 [height, width, 3] to uint8 [3, height // 8, width // 8]."""
    whole = image[: image.shape[0] // SHRINK * SHRINK, : image.shape[1] // SHRINK * SHRINK]
    blocks = whole.permute(2, 0, 1).double().unfold(1, SHRINK, SHRINK).unfold(2, SHRINK, SHRINK)
    return blocks.mean(dim=(3, 4)).round().to(torch.uint8)


def crop_cells(small: Tensor) -> Tensor:
    """The number of each crop's photograph and cell, int64, in the order of :func:`crops`."""
    rows, columns = (length - CROP + 1 for length in small.shape[2:])
    row = torch.arange(rows) * _CELL_ROWS // rows
    column = torch.arange(columns) * _CELL_COLUMNS // columns
    photograph = torch.arange(len(small)) * _CELL_ROWS * _CELL_COLUMNS
    cells = row[:, None] * _CELL_COLUMNS + column
    return (photograph[:, None, None] + cells).flatten()
