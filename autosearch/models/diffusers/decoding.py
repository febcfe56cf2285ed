"""From final states to images."""

from typing import Any

import torch
from torch import Tensor

from autosearch.models.diffusers.families import PipelineFamily

__all__ = ["decode"]

_BATCH = 8


@torch.inference_mode()
def decode(x: Tensor, vae: Any, family: PipelineFamily, *, size: tuple[int, int] | None) -> Tensor:
    """Images [N, C, H, W] in [-1, 1] of final states [N, *sample_shape].

    Args:
        x: the final states [N, *sample_shape].
        family: the kind of the network.
        vae: the pipeline's autoencoder; None for models of pixels, whose states are the images.
        size: rows and columns of latents, for families that pack them into tokens.
    """
    if vae is None:
        return x.clamp(-1, 1)
    latents = _unpacked(x, *size) if family.packed and size else x
    config = vae.config
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    scaled = latents / config["scaling_factor"]
    if mean is not None and deviation is not None:
        shape = (1, -1, *([1] * (latents.dim() - 2)))
        factors, offsets = (
            torch.tensor(values, dtype=latents.dtype, device=latents.device).view(shape)
            for values in (deviation, mean)
        )
        scaled = scaled * factors + offsets
    scaled = scaled + (config.get("shift_factor") or 0.0)
    parts = [
        vae.decode(part.to(vae.dtype), return_dict=False)[0].float()
        for part in scaled.split(_BATCH)
    ]
    return torch.cat(parts).clamp(-1, 1)


def _unpacked(x: Tensor, rows: int, columns: int) -> Tensor:
    """Latents [N, C, rows, columns] from tokens [N, rows * columns / 4, 4 C] of 2 x 2 latents."""
    grid = x.view(len(x), rows // 2, columns // 2, -1, 2, 2)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(len(x), -1, rows, columns)
