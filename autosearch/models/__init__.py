"""Models behind one denoiser call."""

from autosearch.models.base import Model
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.digits import DigitsModel
from autosearch.models.mixture import MixtureModel
from autosearch.models.photos import PhotosModel

__all__ = ["BUILTIN", "DigitsModel", "MixtureModel", "Model", "PhotosModel", "PipelineModel"]

BUILTIN: tuple[type[Model], ...] = (DigitsModel, PhotosModel, MixtureModel, PipelineModel)
