"""``mixture``: the exact denoiser of a Gaussian mixture, its own features, exact moments."""

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import get_schedule
from autosearch.models.base import Model, Rows
from autosearch.models.exact import ExactDenoiser, Mixture

__all__ = ["MixtureModel"]


class MixtureModel(Model):
    """Searches and error bars against known truth, in seconds."""

    name = "mixture"
    summary = "exact denoiser of a Gaussian mixture; no weights, known truth"

    @classmethod
    def load(
        cls,
        *,
        components: Annotated[int, Field(ge=1, le=1000)] = 6,
        dimension: Annotated[int, Field(ge=1, le=1000)] = 8,
        seed: Annotated[int, Field(ge=0)] = 0,
        family: str = "vp",
        schedule: str = "linear",
        prediction: Prediction = "noise",
        dtype: Literal["float32", "float64", "float16", "bfloat16"] = "float32",
    ) -> "MixtureModel":
        """Draw a mixture from ``seed``; the options name what a recipe will name."""
        mixture = Mixture.random(components=components, dimension=dimension, seed=seed)
        denoiser = ExactDenoiser(
            mixture, get_schedule(family, schedule), prediction, dtype=getattr(torch, dtype)
        )
        rows = mixture.sample(2000, np.random.default_rng([seed, 1]))
        reference = {
            "features": rows,
            "features_mean": mixture.mean,
            "features_cov": mixture.covariance,
        }
        return cls(denoiser, reference)

    @property
    def widths(self) -> Mapping[str, int]:
        return {"features": self.denoiser.sample_shape[0]}

    def rows(self, x: Tensor, needs: frozenset[str]) -> Rows:
        return {"features": x.double().cpu().numpy()} if "features" in needs else {}
