"""The features of the bundled models: small classifiers of small images.

Features are bounded by tanh, so that no outlier can dominate a Frechet distance, and were
trained to tell kinds of images apart *and* to give the pixels back through a linear map, so that
they see fine defects as well as the wrong kind. Where images are too large for that to show grain
and blur, some features are not learned: how much fine detail each part of the image has.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autosearch.diffusion.classifier import Classifier
from autosearch.models.weights import load_network

__all__ = [
    "FEATURES_FILE",
    "FeaturesClassifier",
    "FeaturesConfig",
    "ImageFeatures",
    "load_features",
    "local_detail",
]

# Of the range of the pixels; a distance far below it counts as none.
DETAIL_FLOOR = 0.02
FEATURES_FILE = Path(__file__).parent / "data" / "digits_features.safetensors"


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Sizes of the classifier.

    `filters` are the channels of 3x3 convolutions before the two linear layers, each but the
    first halving the image; `features` are learned, and `detail**2` more measure detail;
    the network was trained to tell `num_classes` times `parts` kinds of images.
    """

    image_size: int = 8
    channels: int = 1
    filters: Sequence[int] = ()
    hidden: int = 256
    features: int = 64
    detail: int = 0
    num_classes: int = 10
    parts: int = 1

    def __post_init__(self) -> None:
        # From JSON it comes as a list.
        object.__setattr__(self, "filters", tuple(self.filters))

    @property
    def width(self) -> int:
        """The number of all features."""
        return self.features + self.detail**2

    @property
    def pixels(self) -> int:
        """Numbers of one image: channels * image_size ** 2."""
        return self.channels * self.image_size**2

    def to_json(self) -> str:
        """The sizes as JSON, as the weights' metadata keeps them."""
        return json.dumps(asdict(self))


def _convolutions(config: FeaturesConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    before = config.channels
    for i, filters in enumerate(config.filters):
        layers += [nn.Conv2d(before, filters, 3, stride=1 + (i > 0), padding=1), nn.GELU()]
        before = filters
    return nn.Sequential(*layers)


class ImageFeatures(nn.Module):
    """From pixels in [0, 1] to features in (-1, 1) and logits."""

    def __init__(self, config: FeaturesConfig) -> None:
        super().__init__()
        self.config = config
        self.convolutions = _convolutions(config)
        halved = max(0, len(config.filters) - 1)
        size = -(-config.image_size // 2**halved)
        channels = config.filters[-1] if config.filters else config.channels
        self.body = nn.Sequential(
            nn.Linear(channels * size**2, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.features),
            nn.Tanh(),
        )
        self.head = nn.Linear(config.width, config.num_classes * config.parts)
        if config.detail:
            self.register_buffer("detail_mean", torch.zeros(()))
            self.register_buffer("detail_scale", torch.ones(()))

    def fit_detail(self, pixels: Tensor) -> None:
        """Take the usual amount of detail, and its deviation, from real images."""
        if self.config.detail:
            amounts = local_detail(pixels, self.config.detail)
            self.detail_mean, self.detail_scale = amounts.mean(), amounts.std()

    def encode(self, pixels: Tensor) -> Tensor:
        """Images [N, channels, size, size] in [0, 1] to features [N, width].

        Grey ones may come without the dimension of the channels.
        """
        learned: Tensor = self.body(self.convolutions(pixels - 0.5).flatten(1))
        if not self.config.detail:
            return learned
        amounts = local_detail(pixels, self.config.detail)
        detail = ((amounts - self.detail_mean) / self.detail_scale).tanh()
        return torch.cat([learned, detail], dim=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Features, and logits [N, num_classes * parts] of the kinds, of images as above."""
        features = self.encode(pixels)
        return features, self.head(features)

    def class_logits(self, kinds: Tensor) -> Tensor:
        """Logits [N, num_classes]: the probabilities of a class's parts add up."""
        if self.config.parts == 1:
            return kinds
        parts: Tensor = torch.unflatten(kinds, 1, (self.config.num_classes, self.config.parts))
        return parts.logsumexp(dim=2)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image's logits."""
        layers = [module for module in self.modules() if isinstance(module, nn.Linear)]
        total = sum(layer.in_features * layer.out_features for layer in layers)
        size = self.config.image_size
        for i, layer in enumerate(self.convolutions[::2]):
            assert isinstance(layer, nn.Conv2d)
            size = -(-size // 2) if i else size
            total += size**2 * layer.weight.numel()
        return total

    @torch.no_grad()
    def features(self, images: Tensor) -> dict[str, Tensor]:
        """`features`, `logits` of the classes and `kinds` of uint8 images [N, 3, size, size].

        The dtype is the module's; a loaded model is float64, so that the split into batches does
        not show. A network of one channel has the colour averaged away. Raises ValueError on
        another dtype or shape.
        """
        size = self.config.image_size
        if images.dtype != torch.uint8 or images.shape[1:] != (3, size, size):
            raise ValueError(
                f"expected uint8 images [N, 3, {size}, {size}], "
                f"got {images.dtype} {list(images.shape)}"
            )
        pixels = images.to(self.head.weight.dtype)
        if self.config.channels == 1:
            pixels = pixels.mean(dim=1, keepdim=True)
        features, kinds = self(pixels / 255.0)
        return {"features": features, "logits": self.class_logits(kinds), "kinds": kinds}


def local_detail(pixels: Tensor, parts: int) -> Tensor:
    """Logarithm of the mean distance of pixels from their 3x3 mean: [N, parts**2].

    Images [N, C, S, S] are taken apart into parts x parts squares.
    """
    padded = F.pad(pixels, (1, 1, 1, 1), mode="replicate")
    distance = (pixels - F.avg_pool2d(padded, 3, stride=1)).abs().mean(dim=1)
    return torch.log(DETAIL_FLOOR + F.avg_pool2d(distance, pixels.shape[-1] // parts)).flatten(1)


class FeaturesClassifier(Classifier):
    """The features' head as a guide: images [N, C, size, size] in about [-1, 1], not rounded.

    The logits are computed in the images' dtype and on their device.
    """

    def __init__(self, features: ImageFeatures) -> None:
        self._network = copy.deepcopy(features).requires_grad_(False)
        self.macs = features.macs

    def logits(self, data: Tensor) -> Tensor:
        network = self._network.to(data)
        return network.class_logits(network((data + 1.0) / 2.0)[1])


def load_features(path: str | Path = FEATURES_FILE) -> ImageFeatures:
    """Read the classifier, float64 and in evaluation mode, from safetensors.

    Raises UserError when the file is missing or holds something else.
    """
    return load_network(path, network=ImageFeatures, config=FeaturesConfig).double()
