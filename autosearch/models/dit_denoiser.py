"""A trained DiT as a denoiser: its sites, their costs and the modules that they stand for."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import get_schedule
from autosearch.diffusion.sites.sites import Site
from autosearch.errors import UserError
from autosearch.models.classifier import FeaturesClassifier, ImageFeatures
from autosearch.models.dit import load_dit
from autosearch.models.weights import read_weights

__all__ = ["dit_denoiser"]


def dit_denoiser(
    path: Path, *, data_mean: Tensor | None = None, features: ImageFeatures | None = None
) -> NetworkDenoiser:
    """A denoiser from a DiT's safetensors file, whose metadata names schedule and prediction.

    Args:
        path: of the file.
        data_mean: mean of the training data [*sample_shape], where it is known.
        features: guide by their classifier, where it tells the network's classes apart.
    """
    network = load_dit(path)
    tensors, metadata = read_weights(path)
    family, _, name = metadata.get("schedule", "").partition("_")
    prediction = _prediction(path, metadata)
    config = network.config
    guides = features is not None and features.config.num_classes == config.num_classes
    site_macs, elements = network.site_macs(), config.tokens * config.width
    return NetworkDenoiser(
        network,
        schedule=get_schedule(family, name),
        prediction=prediction,
        sample_shape=(config.channels, config.image_size, config.image_size),
        classes=config.num_classes,
        null_label=config.num_classes,
        sites=tuple(_site(name, macs, elements) for name, macs in site_macs.items()),
        modules={
            name: network.get_submodule(name.replace("block", "blocks")) for name in site_macs
        },
        heads={f"block.{i}.attn": config.heads for i in range(config.depth)},
        macs=network.macs(),
        weights=_digest(tensors),
        data_mean=data_mean,
        classifier=FeaturesClassifier(features) if features and guides else None,
    )


def _prediction(path: Path, metadata: Mapping[str, str]) -> Prediction:
    name = metadata.get("prediction")
    if name not in get_args(Prediction):
        raise UserError(
            f"{path}: its metadata names no prediction; train it with "
            "autosearch.experiments.training.train"
        )
    return cast(Prediction, name)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash of the tensors; the file's bytes vary with the order of its metadata."""
    parts = hashlib.sha256()
    for name in sorted(tensors):
        parts.update(name.encode() + tensors[name].numpy().tobytes())
    return parts.hexdigest()[:16]


def _site(name: str, macs: int, elements: int) -> Site:
    """A block, ``block.3``, or a part of one, ``block.3.attn``."""
    if name.count(".") == 1:
        return Site(name, macs, elements, residual=True)
    return Site(name, macs, elements, parent=name.rpartition(".")[0])
