"""Inception features of images, with torch-fidelity's network, for FID against real images."""

import io
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.hub import load_state_dict_from_url

from autosearch.errors import UserError

__all__ = ["WIDTHS", "Inception"]

# Columns of the rows that the network gives.
WIDTHS = {"features": 2048, "logits": 1008}
_LAYERS = {"features": "2048", "logits": "logits_unbiased"}
_BATCH = 32


class Inception:
    """The network of torch-fidelity, whose figures equal the original's.

    Args:
        weights: a file of its weights; None lets torch-fidelity download them.
    """

    def __init__(self, weights: str | None = None) -> None:
        self._weights = weights
        self._network: Any = None
        self._device = torch.device("cpu")

    def to(self, device: torch.device | str) -> "Inception":
        """Compute there; returns itself."""
        self._device = torch.device(device)
        if self._network is not None:
            self._network.to(self._device)
        return self

    @torch.inference_mode()
    def rows(self, images: Tensor) -> dict[str, NDArray[np.float32]]:
        """``features`` [N, 2048] and ``logits`` [N, 1008] of uint8 RGB images [N, 3, H, W]."""
        network = self._loaded()
        parts: dict[str, list[Tensor]] = {name: [] for name in _LAYERS}
        for batch in torch.split(images, _BATCH):
            outputs = network(batch.to(self._device))
            for name, values in zip(_LAYERS, outputs, strict=True):
                parts[name].append(values.float().cpu())
        return {name: torch.cat(values).numpy() for name, values in parts.items()}

    def _loaded(self) -> Any:
        if self._network is not None:
            return self._network
        if self._weights is not None and not Path(self._weights).is_file():
            raise UserError(f"model.inception: no file at {self._weights}; give its weights")
        # Imported here because it takes seconds.
        from torch_fidelity import feature_extractor_inceptionv3 as fidelity

        # Read without unpickling anything but tensors, which torch-fidelity itself would do.
        try:
            if self._weights is not None:
                state = torch.load(self._weights, map_location="cpu", weights_only=True)
            else:
                state = load_state_dict_from_url(fidelity.URL_INCEPTION_V3, weights_only=True)
            handed = io.BytesIO()
            torch.save(state, handed)
            handed.seek(0)
            network = fidelity.FeatureExtractorInceptionV3(
                "inception-v3-compat",
                list(_LAYERS.values()),
                feature_extractor_weights_path=handed,
            )
        except (OSError, RuntimeError, UnpicklingError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"model.inception: cannot load Inception's weights: {reason}; give the path of "
                "torch-fidelity's file"
            ) from None
        self._network = network.to(self._device)
        return self._network
