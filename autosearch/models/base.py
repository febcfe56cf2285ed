"""A model as a search sees it: a denoiser, and how its samples are scored and shown."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autosearch._typing import Rows
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, labels

__all__ = ["Model", "Rows", "as_rgb", "to_uint8"]


@dataclass
class Model(ABC):
    """What a loader returns.

    Attributes:
        denoiser: the network or exact denoiser.
        reference: rows and moments of real data, by the names that objectives read.
        block_size: samples in a seed block; a multiple of the number of classes.
        figures: measured once and shipped with the model, such as its reference's FID.
        rewards: further rows [N], by name, from final samples and their labels.
        prompts: what each label asks for, where the model is asked in words.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    denoiser: Denoiser
    reference: Mapping[str, NDArray[np.generic]]
    block_size: int = 100
    figures: Mapping[str, Any] = field(default_factory=dict)
    rewards: dict[str, Callable[[Tensor, Tensor], NDArray[np.generic]]] = field(
        default_factory=dict
    )
    prompts: Sequence[str] = ()

    @property
    @abstractmethod
    def widths(self) -> Mapping[str, int]:
        """The kinds of rows that the model gives and their number of columns."""

    @abstractmethod
    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        """Rows of each need from final samples [N, *sample_shape]."""

    def labels(self, indices: Sequence[int], stream: Stream) -> Tensor:
        """Labels [N], int64, of the samples with these indices: each equally often in a block."""
        return labels(indices, self.denoiser.classes)

    def images(self, x: Tensor) -> Tensor | None:
        """Final samples as uint8 RGB [N, 3, H, W]; None for models without images."""
        return None

    def to(self, device: torch.device | str) -> "Model":
        """Move everything that computes; returns itself."""
        return self


def to_uint8(x: Tensor) -> Tensor:
    """Images in [-1, 1], [N, C, H, W] with C of 1 or 3, as uint8 RGB [N, 3, H, W]."""
    return as_rgb(((x.double() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8))


def as_rgb(images: Tensor) -> Tensor:
    """Grey or colour images [N, 1 or 3, H, W] as RGB [N, 3, H, W]."""
    return images.expand(-1, 3, -1, -1)
