"""``photos``: a rectified-flow DiT on colour crops of two photographs, harder than ``digits``."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autosearch.models.bundled import BundledModel
from autosearch.models.real_images import crops

__all__ = ["PhotosModel"]


class PhotosModel(BundledModel):
    """Crops of scikit-learn's sample photographs, 16x16 in colour; the class is the photograph."""

    name = "photos"
    summary = "rectified-flow DiT on colour crops of two photographs, 16x16, bundled"

    @staticmethod
    def real(reference: Mapping[str, NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
        """All crops; the file keeps the two photographs only."""
        return crops(torch.from_numpy(reference["photographs"]))
