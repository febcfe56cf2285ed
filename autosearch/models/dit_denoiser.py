"""A trained DiT as a denoiser: its sites, their costs and the modules that they stand for."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import get_schedule
from autosearch.diffusion.sites.sites import Site
from autosearch.errors import UserError
from autosearch.models.dit import Block, DiT, load_dit
from autosearch.models.weights import read_weights

__all__ = ["dit_denoiser"]


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
    raise UserError(
        f"{path}: its metadata names no prediction; train it with "
        "autosearch.experiments.training.train"
    )


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
