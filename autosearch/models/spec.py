"""A model by its name and settings, loaded where it is needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autosearch.models import find
from autosearch.models.base import Model
from autosearch.models.rewards import attach_bounds, attach_rewards
from autosearch.registry import construct

__all__ = ["LoadedModel", "ModelSpec"]


@dataclass(frozen=True)
class ModelSpec:
    """Which model to build, as plain data that travels to workers."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Model:
        """Build the model.

        Raises:
            UserError: for an unknown name or option, or files that cannot be read.
        """
        extras = ("rewards", "bounds")
        options = {name: value for name, value in self.options.items() if name not in extras}
        model: Model = construct(find(self.name, where="model").load, options, where="model")
        if self.options.get("rewards"):
            attach_rewards(model, self.options["rewards"])
        if self.options.get("bounds"):
            attach_bounds(model, self.options["bounds"])
        return model

    def loaded(self) -> "LoadedModel":
        """The model built now, for this process to hold once.

        Raises:
            UserError: as ``load``.
        """
        return LoadedModel(self.name, self.options, self.load())


@dataclass(frozen=True)
class LoadedModel(ModelSpec):
    """A model that this process holds already; in another process it is loaded there."""

    model: Model | None = field(default=None, compare=False)

    def load(self) -> Model:
        assert self.model is not None
        return self.model

    def __reduce__(self) -> tuple[type[ModelSpec], tuple[str, Mapping[str, Any]]]:
        return ModelSpec, (self.name, self.options)
