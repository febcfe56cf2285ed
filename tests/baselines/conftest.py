"""Exact models of each family of schedules, by name."""

from collections.abc import Callable

import pytest

from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.models.exact import ExactDenoiser, Mixture

MODELS: dict[str, tuple[NoiseSchedule, Prediction]] = {
    "vp": (VariancePreserving(), "noise"),
    "cosine": (VariancePreserving("cosine"), "v"),
    "edm": (EDM(), "data"),
    "flow": (RectifiedFlow(), "flow"),
}

Make = Callable[[str], ExactDenoiser]


@pytest.fixture(scope="module")
def make() -> Make:
    mixture = Mixture.random(components=3, dimension=3, seed=1)

    def denoiser(model: str) -> ExactDenoiser:
        return ExactDenoiser(mixture, *MODELS[model])

    return denoiser
