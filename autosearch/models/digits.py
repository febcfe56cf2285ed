"""``digits``: the bundled class-conditional DiT, its features and its reference statistics."""

import hashlib
import json
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import get_schedule
from autosearch.diffusion.sites import Site
from autosearch.errors import UserError
from autosearch.models.base import Model, Rows, to_uint8
from autosearch.models.classifier import DigitsFeatures, load_features
from autosearch.models.dit import Block, DiT, load_dit
from autosearch.models.weights import read_weights

__all__ = ["DigitsModel", "dit_denoiser"]


class DigitsModel(Model):
    """Scikit-learn's handwritten digits, 8x8, ten classes."""

    name = "digits"
    summary = "small class-conditional DiT on real handwritten digits, 8x8, bundled"

    features: DigitsFeatures

    @classmethod
    def load(cls, *, path: str | None = None) -> "DigitsModel":
        """The bundled weights, or others of the same kind from ``path`` (safetensors)."""
        data = files("autosearch.models") / "data"
        with as_file(data) as folder:
            weights = folder / "digits.safetensors" if path is None else Path(path)
            if not weights.is_file():
                raise UserError(f"model.path: no file at {weights}; give a safetensors file")
            model = cls(
                dit_denoiser(weights),
                load_file(folder / "digits_reference.safetensors"),
                figures=_figures(folder / "digits.json") if path is None else {},
            )
            model.features = load_features(folder / "digits_features.safetensors")
            # Of the training images, in the range of the samples.
            mean = model.reference["images"].mean(axis=0, dtype=np.float64) / 127.5 - 1
            model.denoiser.data_mean = torch.as_tensor(mean, dtype=torch.float32)[None]
        return model

    @property
    def widths(self) -> Mapping[str, int]:
        return {
            "features": self.reference["features_mean"].shape[0],
            "logits": self.denoiser.classes,
            "pixels": self.reference["pixels_mean"].shape[0],
        }

    def images(self, x: Tensor) -> Tensor:
        return to_uint8(x)

    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        images = to_uint8(x).cpu()
        rows: Rows = {}
        if needs & {"features", "logits"}:
            found = self.features.features(images)
            rows = {name: found[name].numpy() for name in ("features", "logits") if name in needs}
        if "pixels" in needs:
            # One channel of the grey image, on the principal components of the real ones.
            flat = images[:, 0].flatten(1).double().numpy() / 255.0
            rows["pixels"] = flat @ np.asarray(self.reference["pixels_basis"], np.float64)
        return rows

    def to(self, device: torch.device | str) -> "DigitsModel":
        assert isinstance(self.denoiser, NetworkDenoiser)
        self.denoiser.to(device)
        return self


def dit_denoiser(path: Path) -> NetworkDenoiser:
    """A denoiser from a DiT's safetensors file, whose metadata names schedule and prediction."""
    network = load_dit(path)
    tensors, metadata = read_weights(path)
    family, _, name = metadata.get("schedule", "").partition("_")
    prediction = _prediction(path, metadata)
    config = network.config
    return NetworkDenoiser(
        network,
        schedule=get_schedule(family, name),
        prediction=prediction,
        sample_shape=(config.channels, config.image_size, config.image_size),
        classes=config.num_classes,
        null_label=config.num_classes,
        sites=_sites(network),
        modules=_modules(network),
        heads={f"block.{i}.attn": config.heads for i in range(config.depth)},
        macs=network.macs(),
        weights=_digest(tensors),
    )


def _prediction(path: Path, metadata: Mapping[str, str]) -> Prediction:
    for known in get_args(Prediction):
        if metadata.get("prediction") == known:
            prediction: Prediction = known
            return prediction
    raise UserError(f"{path}: its metadata names no prediction; train it with train_digits")


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash of the tensors; the file's bytes vary with the order of its metadata."""
    parts = hashlib.sha256()
    for name in sorted(tensors):
        parts.update(name.encode() + tensors[name].numpy().tobytes())
    return parts.hexdigest()[:16]


def _sites(network: DiT) -> list[Site]:
    macs = network.site_macs()
    elements = network.config.tokens * network.config.width
    sites = []
    for i in range(network.config.depth):
        block = f"block.{i}"
        sites.append(Site(block, macs[block], elements, residual=True))
        sites += [
            Site(f"{block}.{part}", macs[f"{block}.{part}"], elements, parent=block)
            for part in ("attn", "mlp")
        ]
    return sites


def _modules(network: DiT) -> dict[str, torch.nn.Module]:
    modules: dict[str, torch.nn.Module] = {}
    for i, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        modules[f"block.{i}"] = block
        modules[f"block.{i}.attn"] = block.attn
        modules[f"block.{i}.mlp"] = block.mlp
    return modules


def _figures(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    figures: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures
