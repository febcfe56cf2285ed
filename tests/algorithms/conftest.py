"""A small space over the exact mixture."""

import pytest

from autosearch.baselines import baseline
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import SolverChoice, Space, Timesteps


@pytest.fixture(scope="session")
def space() -> Space:
    denoiser = MixtureModel.load(dimension=2).denoiser
    families = [Timesteps(denoiser), SolverChoice(denoiser)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))
