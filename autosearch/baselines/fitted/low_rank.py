"""Low-rank updates of a network's linear maps (LoRA; Hu et al. 2022)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["adapt", "merge"]

# Of an update of rank r: alpha over r, at TinyFusion's published alpha 16 and rank 8.
_SCALE = 2.0


class _Update(nn.Module):
    """A weight [out, in] and its update, 0 at first."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        out, width = weight.shape
        down = (2 * torch.rand(rank, width, generator=generator) - 1) / math.sqrt(width)
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(torch.zeros(out, rank).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + _SCALE * (self.up @ self.down)


def adapt(module: nn.Module, rank: int, generator: torch.Generator) -> list[nn.Parameter]:
    """Give every linear map in a module an update of its weight; returns what is to be trained."""
    learned: list[nn.Parameter] = []
    for linear in list(_linear(module)):
        update = _Update(linear.weight, rank, generator)
        parametrize.register_parametrization(linear, "weight", update)
        learned.extend(update.parameters())
    return learned


def merge(module: nn.Module) -> None:
    """Make the updates part of the weights."""
    for linear in list(_linear(module)):
        if parametrize.is_parametrized(linear, "weight"):
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)


def _linear(module: nn.Module) -> Iterator[nn.Linear]:
    return (part for part in module.modules() if isinstance(part, nn.Linear))
