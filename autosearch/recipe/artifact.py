"""What a recipe needs besides itself: measured tensors, named by where they come from."""

from typing import Annotated, Any

from pydantic import Field

from autosearch.recipe.schema import Strict

__all__ = ["Artifact"]

_HEX = r"^[0-9a-f]+$"


class Artifact(Strict):
    """A reference to a file of tensors.

    Attributes:
        method: what made it.
        key: hash of its provenance (method, settings, model, seed), part of a plan's identity;
            the file is called ``KEY.safetensors``.
        sha256: of the file; a file with another one is refused.
        settings: as given to the method, for readers.
    """

    method: Annotated[str, Field(min_length=1, max_length=100)]
    key: Annotated[str, Field(pattern=_HEX, min_length=24, max_length=24)]
    sha256: Annotated[str, Field(pattern=_HEX, min_length=64, max_length=64)]
    settings: dict[str, Any] = Field(default_factory=dict)
