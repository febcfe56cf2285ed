"""Models behind one denoiser call."""

from autosearch.models.base import Model
from autosearch.models.bundled import DigitsModel, PhotosModel
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.mixture import MixtureModel
from autosearch.registry import Registry

__all__ = [
    "BUILTIN",
    "REGISTRY",
    "DigitsModel",
    "MixtureModel",
    "Model",
    "PhotosModel",
    "PipelineModel",
    "find",
]

BUILTIN: tuple[type[Model], ...] = (DigitsModel, PhotosModel, MixtureModel, PipelineModel)

REGISTRY = Registry("model", BUILTIN)
find = REGISTRY.find
