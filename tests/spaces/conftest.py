"""Exact denoisers of each family of schedules, and spaces over them."""

from collections.abc import Callable

import pytest
from support.soaked import soaked
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.classifier import Classifier
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import get_schedule
from autosearch.diffusion.sites.sites import Site
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.spaces import Family, SolverChoice, Space, Timesteps

KINDS: dict[str, tuple[str, str, Prediction]] = {
    "linear": ("vp", "linear", "noise"),
    "cosine": ("vp", "cosine", "v"),
    "edm": ("edm", "edm", "data"),
    "flow": ("flow", "rectified", "flow"),
    "flow-noise": ("flow", "rectified", "noise"),
}
MakeSpace = Callable[..., Space]


def make_denoiser(kind: str) -> Denoiser:
    family, schedule, prediction = KINDS[kind]
    mixture = Mixture.random(components=2, dimension=2, seed=0)
    return ExactDenoiser(mixture, get_schedule(family, schedule), prediction)


def make_space(denoiser: Denoiser, names: str = "both", **settings: object) -> Space:
    """``both``, ``timesteps`` or ``solver``; settings are those of timesteps."""
    made: list[Family] = []
    if names in ("both", "solver"):
        made.append(SolverChoice(denoiser))
    if names in ("both", "timesteps"):
        made.append(Timesteps(denoiser, **settings))
    return Space(denoiser, made, baseline("ddim@10", denoiser))


class Unasked(Classifier):
    """Is there, for plans that nobody runs."""

    macs = 5

    def logits(self, data: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.fixture
def attentive() -> Denoiser:
    """A model with every kind of guidance: conditions, a classifier, sites, 12 layers of heads."""
    denoiser = make_denoiser("linear")
    denoiser.conditions, denoiser.classes, denoiser.classifier = ("cond", "uncond"), 2, Unasked()
    sites = []
    for i in range(12):
        sites += [Site(f"block.{i}", 9, 1, residual=True)]
        sites += [Site(f"block.{i}.{part}", 4, 1, parent=f"block.{i}") for part in ("attn", "mlp")]
    denoiser.sites, denoiser.macs = tuple(sites), 120
    denoiser.heads = {f"block.{i}.attn": 3 for i in range(12)}
    return denoiser


# The cosine is like the linear one to a space.
@pytest.fixture(params=soaked(sorted(KINDS, key=lambda kind: kind == "cosine"), but=4))
def denoiser(request: pytest.FixtureRequest) -> Denoiser:
    return make_denoiser(request.param)


@pytest.fixture
def space(denoiser: Denoiser) -> Space:
    """Timesteps from 2 to 10 steps, and the solver."""
    return make_space(denoiser)


@pytest.fixture(scope="session")
def spaces() -> MakeSpace:
    """``spaces(kind, names, **settings)`` builds a space."""
    return lambda kind, names="both", **settings: make_space(make_denoiser(kind), names, **settings)
