"""A small space over the exact mixture, and spaces that are nothing but a box."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from autosearch.baselines import baseline
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import Parameter, SolverChoice, Space, Timesteps


@pytest.fixture(scope="session")
def space() -> Space:
    denoiser = MixtureModel.load(dimension=2).denoiser
    families = [Timesteps(denoiser), SolverChoice(denoiser)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


class BoxSpace:
    """A space that is its box: a genome is a point, and each is a plan of its own."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = list(parameters)

    def box(self) -> list[Parameter]:
        return self.parameters

    def from_box(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return dict(values)

    def plan(self, genome: Mapping[str, Any]) -> SimpleNamespace:
        return SimpleNamespace(identity=str(sorted(genome.items())))


@pytest.fixture(scope="session")
def box_of() -> type[BoxSpace]:
    return BoxSpace
