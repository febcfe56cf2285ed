"""The bundled models, each a DiT with features and reference statistics as files."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.errors import UserError
from autosearch.models.base import Model, Rows, to_uint8
from autosearch.models.classifier import ImageFeatures, load_features
from autosearch.models.dit_denoiser import dit_denoiser
from autosearch.models.weights import read_weights

__all__ = ["CROP", "BundledModel", "DigitsModel", "PhotosModel", "crops"]

# Pixels on the side of a crop of the photographs.
CROP = 16


class BundledModel(Model):
    """A model whose files are `data/NAME*`.

    Attributes:
        features: the network whose features are scored.
        real_images: uint8 [N, C, S, S], what the model was trained on.
        real_labels: int64 [N].
        training: the sizes, settings, losses and seconds of the network's training.
    """

    features: ImageFeatures
    real_images: Tensor
    real_labels: Tensor
    training: Mapping[str, Any]

    @staticmethod
    @abstractmethod
    def unpack_real_images(reference: Mapping[str, NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
        """The real images [N, C, S, S] and labels [N] that the file of statistics keeps."""

    @classmethod
    def load(cls, *, path: str | None = None) -> Self:
        """The bundled weights, or others of the same kind from ``path`` (safetensors)."""
        data = files("autosearch.models") / "data"
        with as_file(data) as folder:
            weights = folder / f"{cls.name}.safetensors" if path is None else Path(path)
            if not weights.is_file():
                raise UserError(f"model.path: no file at {weights}; give a safetensors file")
            figures = folder / f"{cls.name}.json"
            # A model in the making has none yet.
            bundled = path is None and figures.is_file()
            reference = load_file(folder / f"{cls.name}_reference.safetensors")
            features = load_features(folder / f"{cls.name}_features.safetensors")
            real = cls.unpack_real_images(reference)
            # Of the training images, in the range of the samples.
            mean = (real[0].double().mean(dim=0) / 127.5 - 1).float()
            model = cls(
                dit_denoiser(weights, data_mean=mean, features=features),
                reference,
                figures=json.loads(figures.read_text(encoding="utf-8")) if bundled else {},
            )
            model.training = json.loads(read_weights(weights)[1].get("training", "{}"))
        model.features, (model.real_images, model.real_labels) = features, real
        return model

    @property
    def widths(self) -> Mapping[str, int]:
        return {
            "features": self.reference["features_mean"].shape[0],
            "logits": self.features.config.num_classes,
            "pixels": self.reference["pixels_mean"].shape[0],
        }

    def images(self, x: Tensor) -> Tensor:
        return to_uint8(x)

    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        images = to_uint8(x).cpu()
        rows: dict[str, NDArray[np.generic]] = {}
        if needs & {"features", "logits"}:
            outputs = self.features.features(images)
            rows = {name: outputs[name].numpy() for name in ("features", "logits") if name in needs}
        if "pixels" in needs:
            # The sample's own channels, on the principal components of the real images.
            flat = images[:, : x.shape[1]].flatten(1).double().numpy() / 255.0
            rows["pixels"] = flat @ np.asarray(self.reference["pixels_basis"], np.float64)
        return rows

    def to(self, device: torch.device | str) -> Self:
        assert isinstance(self.denoiser, NetworkDenoiser)
        self.denoiser.to(device)
        return self


class DigitsModel(BundledModel):
    """Scikit-learn's handwritten digits, 8x8, ten classes."""

    name = "digits"
    summary = "small class-conditional DiT on real handwritten digits, 8x8, bundled"

    @staticmethod
    def unpack_real_images(reference: Mapping[str, NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
        images, labels = (torch.from_numpy(reference[name]) for name in ("images", "labels"))
        return images[:, None], labels


class PhotosModel(BundledModel):
    """Crops of scikit-learn's sample photographs, 16x16 in colour; the class is the photograph."""

    name = "photos"
    summary = "rectified-flow DiT on colour crops of two photographs, 16x16, bundled"

    @staticmethod
    def unpack_real_images(reference: Mapping[str, NDArray[np.generic]]) -> tuple[Tensor, Tensor]:
        # The file keeps the two photographs only.
        return crops(torch.from_numpy(reference["photographs"]))


def crops(small: Tensor) -> tuple[Tensor, Tensor]:
    """Every crop of shrunk photographs [P, 3, height, width], and the index of its photograph.

    Uint8 [P * rows * columns, 3, 16, 16] and int64 [P * rows * columns], row by row.
    """
    windows = small.unfold(2, CROP, 1).unfold(3, CROP, 1).permute(0, 2, 3, 1, 4, 5)
    images = windows.reshape(-1, small.shape[1], CROP, CROP).contiguous()
    return images, torch.arange(len(small)).repeat_interleave(len(images) // len(small))
