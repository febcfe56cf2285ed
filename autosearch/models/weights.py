"""Weights of the bundled networks: safetensors whose metadata holds the sizes as JSON."""

import json
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from autosearch.errors import UserError

__all__ = ["load_network", "read_weights"]

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config")


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file: its tensors by name, and its metadata.

    Raises:
        UserError: when it is missing or none.
    """
    if not Path(path).is_file():
        raise UserError(f"no weights at {path}: give the path of a safetensors file")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(f"{path} is no readable safetensors file: {error}") from error


def load_network(path: str | Path, *, network: type[Network], config: type[Config]) -> Network:
    """Build `network(config(**sizes))` from a file's own `config` metadata, in evaluation mode.

    The global random state is left alone. Raises UserError when the file is missing or holds
    another network.
    """
    tensors, metadata = read_weights(path)
    try:
        sizes = config(**json.loads(metadata["config"]))
        # Not on the meta device: its first operation imports seconds' worth of compiler.
        with torch.random.fork_rng(devices=[]):
            model = network(sizes)
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        kind = network.__name__
        raise UserError(
            f"{path} holds no {kind}; were these weights saved by its script?"
        ) from error
    return model.eval()
