"""The features of the `digits` model: a small classifier of 8x8 grey images.

Its 64 features are bounded by tanh, so that no outlier can dominate a Frechet distance, and were
trained to tell the classes apart *and* to give the pixels back through a linear map, so that they
see fine defects as well as the wrong class.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from autosearch.models.weights import load_network

__all__ = ["FEATURES_FILE", "DigitsFeatures", "FeaturesConfig", "load_features"]

FEATURES_FILE = Path(__file__).parent / "data" / "digits_features.safetensors"


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Sizes of the classifier."""

    image_size: int = 8
    hidden: int = 256
    features: int = 64
    num_classes: int = 10

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class DigitsFeatures(nn.Module):
    """Multi-layer perceptron from grey pixels in [0, 1] to 64 features in (-1, 1) and 10 logits."""

    def __init__(self, config: FeaturesConfig) -> None:
        super().__init__()
        self.config = config
        self.body = nn.Sequential(
            nn.Linear(config.image_size**2, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.features),
            nn.Tanh(),
        )
        self.head = nn.Linear(config.features, config.num_classes)

    def encode(self, grey: Tensor) -> Tensor:
        """Grey images [N, size, size] in [0, 1] to features [N, 64]."""
        return self.body(grey.flatten(1) - 0.5)

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """Features [N, 64] and logits [N, 10] of grey images [N, size, size] in [0, 1]."""
        features = self.encode(grey)
        return features, self.head(features)

    @torch.no_grad()
    def features(self, images: Tensor) -> dict[str, Tensor]:
        """`features` [N, 64] and `logits` [N, 10] of uint8 RGB images [N, 3, size, size].

        The dtype is the module's; a loaded model is float64, so that the split into batches does
        not show. Colour is averaged away. Raises ValueError on another dtype or shape.
        """
        size = self.config.image_size
        if images.dtype != torch.uint8 or images.shape[1:] != (3, size, size):
            raise ValueError(
                f"expected uint8 images [N, 3, {size}, {size}], "
                f"got {images.dtype} {list(images.shape)}"
            )
        grey = images.to(self.head.weight.dtype).mean(dim=1) / 255.0
        features, logits = self(grey)
        return {"features": features, "logits": logits}


def load_features(path: str | Path = FEATURES_FILE) -> DigitsFeatures:
    """Read the classifier, float64 and in evaluation mode, from safetensors.

    Raises UserError when the file is missing or holds something else.
    """
    return load_network(path, network=DigitsFeatures, config=FeaturesConfig).double()
