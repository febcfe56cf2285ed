"""A model's own feature network under a name that torch-fidelity knows.

With it, ``torch_fidelity.calculate_metrics`` computes its metrics on the same images and features
as the objectives here, which is how the two are held against each other.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from autosearch.errors import UserError

__all__ = ["FeatureFunction", "ImageRows", "register"]

FeatureFunction = Callable[[Tensor], Mapping[str, Tensor]]


class ImageRows(Dataset[Tensor]):
    """Images in memory as torch-fidelity wants them: uint8 [3, H, W], one at a time.

    Takes uint8 [N, 3, H, W] or grey [N, 1, H, W], which is repeated over the colours.
    """

    def __init__(self, images: Tensor) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise UserError(
                f"images: expected uint8 [N, 3, H, W] or [N, 1, H, W], got {images.dtype} "
                f"{list(images.shape)}; scale to 0..255 and round first"
            )
        self.images = images.expand(-1, 3, -1, -1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self.images[index]


def register(name: str, function: FeatureFunction, provided: Mapping[str, int]) -> type[Any]:
    """Make a feature function known to torch-fidelity, and return the extractor's class.

    Then ``calculate_metrics(input1=ImageRows(...), input2=ImageRows(...), fid=True, cuda=False,
    cache=False, feature_extractor=name, feature_layer_fid="features", ...)`` uses it.
    ``save_cpu_ram=True`` keeps torch-fidelity from starting worker processes to read the images.

    Args:
        name: Any name not yet taken. Registering the same function again changes nothing.
        function: Maps uint8 images [B, 3, H, W], on the device torch-fidelity runs on, to
            tensors [B, width] by name. They are made float64, in which all metrics are computed.
        provided: The width of each of them, such as ``{"features": 64, "logits": 10}``. The
            Inception score reads ``logits``, all other metrics ``features``, unless told otherwise.

    Raises:
        UserError: when the name is taken by another function or not valid.
    """
    # Imported here because it takes seconds, which a search without it should not pay.
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

    taken: type[Any] | None = FEATURE_EXTRACTORS_REGISTRY.get(name)
    if taken is not None:
        if getattr(taken, "registered", None) == (function, dict(provided)):
            return taken
        raise UserError(f"feature extractor {name!r} is registered already; choose another name")

    class Extractor(FeatureExtractorBase):  # type: ignore[misc]  # untyped library
        """Calls the function and hands its tensors over in the order asked for."""

        registered = (function, dict(provided))

        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return tuple(provided)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return _ordered(name, function(images), provided, self.features_list)

    try:
        register_feature_extractor(name, Extractor)
    except ValueError as error:
        raise UserError(f"feature extractor {name!r}: {error}") from error
    return Extractor


def _ordered(
    name: str, values: Mapping[str, Tensor], provided: Mapping[str, int], wanted: list[str]
) -> tuple[Tensor, ...]:
    """The wanted tensors as float64 [B, width], refused when the widths are not as declared."""
    for key in wanted:
        shape = list(values[key].shape) if key in values else None
        if shape is None or len(shape) != 2 or shape[1] != provided[key]:
            raise UserError(
                f"feature extractor {name!r}: {key!r} is "
                f"{'not given' if shape is None else shape}, declared [B, {provided[key]}]"
            )
    return tuple(values[key].double() for key in wanted)
