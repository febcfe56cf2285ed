"""Models behind one denoiser call."""

from autosearch.models.base import Model
from autosearch.models.digits import DigitsModel
from autosearch.models.mixture import MixtureModel

__all__ = ["BUILTIN", "DigitsModel", "MixtureModel", "Model"]

BUILTIN: tuple[type[Model], ...] = (DigitsModel, MixtureModel)
