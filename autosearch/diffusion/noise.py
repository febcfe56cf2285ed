"""Noise and labels as functions of (seed, stream, sample index, k).

Every number comes from a counter-based generator whose key is (seed, stream) and whose counter
holds (k, index), so a sample's noise depends neither on the batch that it is in, nor on the
worker, nor on what was drawn before. Streams never meet, even at equal seeds.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

__all__ = ["Stream", "draw", "labels"]


class Stream(IntEnum):
    """The purpose of noise; the number is part of the generator's key and never changes."""

    SEARCH = 1
    VALIDATION = 2
    EVALUATE = 3
    REFERENCE = 4
    CALIBRATION = 5
    RECOVERY = 6


def draw(
    seed: int, stream: Stream, indices: Sequence[int], shape: tuple[int, ...], *, k: int = 0
) -> Tensor:
    """Standard normal noise [len(indices), *shape], float32 on the CPU.

    ``k = 0`` is the start of the trajectory, ``k >= 1`` the noise that step k adds.
    """
    rows = np.empty((len(indices), *shape), dtype=np.float32)
    key = np.array([seed % 2**64, int(stream)], dtype=np.uint64)
    for row, index in zip(rows, indices, strict=True):
        # Word 0 counts the numbers of one draw; the others name the draw.
        counter = np.array([0, k, index, 0], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        generator.standard_normal(out=row, dtype=np.float32)
    return torch.from_numpy(rows)


def labels(indices: Sequence[int], classes: int) -> Tensor:
    """Class labels [N], int64: equally many of each in every block whose size they divide."""
    return torch.as_tensor([index % max(classes, 1) for index in indices], dtype=torch.int64)
