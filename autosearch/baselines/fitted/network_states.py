"""States and predictions of a network along a recipe that computes everything."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from autosearch.baselines.fitted.base import with_steps
from autosearch.baselines.fitted.calibrator import Calibrator, Sampled
from autosearch.diffusion.plan.plan import StepPlan
from autosearch.diffusion.prediction import from_data_and_noise
from autosearch.diffusion.sampling.sampler import Network
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.recipe import Recipe

__all__ = ["features", "network_states", "predict", "uncached_predictions", "without_caches"]


def without_caches(recipe: Recipe) -> Recipe:
    """A copy of a recipe without caches, gates and their corrections."""
    nothing: dict[str, object] = {"sites": {}, "gate": None, "rectify": None}
    return with_steps(recipe, [nothing] * len(recipe.steps))


def network_states(recipe: Recipe, calibrator: Calibrator, samples: int) -> list[Sampled]:
    """Steps that ask the network, and their states, along a recipe that computes everything."""
    found = calibrator.evaluation_states(without_caches(recipe), samples)
    return [at for at in found if at.step.evaluate == "network"]


def features(at: Sampled, calibrator: Calibrator, names: Sequence[str]) -> FeatureMemory:
    """The named features of the network at one state, kept for each branch."""
    memory = FeatureMemory(dict.fromkeys(names, 1))
    with torch.inference_mode():
        calibrator.network(len(at.x), memory).evaluate(at.step, at.x)
    return memory


def uncached_predictions(
    recipe: Recipe, calibrator: Calibrator, samples: int
) -> Iterator[tuple[StepPlan, Tensor, Tensor]]:
    """Step, state and prediction along a recipe that computes everything."""
    network = calibrator.network(samples)
    with torch.inference_mode():
        for at in calibrator.evaluation_states(without_caches(recipe), samples):
            yield at.step, at.x, predict(network, at.step, at.x)


def predict(network: Network, step: StepPlan, x: Tensor) -> Tensor:
    """The guided prediction of a step at states [N, *sample_shape], in the model's own type."""
    schedule, kind = network.denoiser.schedule, network.denoiser.prediction
    evaluation = network.evaluate(replace(step, clip=None, classifier=()), x)
    alpha, sigma = schedule.alpha_sigma(step.log_snr)
    noise = torch.zeros_like(x) if evaluation.noise is None else evaluation.noise
    return from_data_and_noise(kind, evaluation.data, noise, alpha, sigma)
