"""Scores of blocks by which the least important are pruned."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.network_states import features, network_states, predict
from autosearch.diffusion.plan.plan import StepPlan
from autosearch.diffusion.sites.memory import Lookup
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action, output_feature

__all__ = ["FITS", "importance", "prune_least", "sensitivity"]

_SAMPLES = 100


def importance(recipe: Recipe, calibrator: Calibrator, samples: int = _SAMPLES) -> dict[str, float]:
    """One less the cosine between a block's input and its output, by the block's name.

    Block influence (ShortGPT; Men et al. 2024, equation 1), the mean over tokens, here also over a
    recipe's steps and samples. TinyFusion's baseline takes training images at random times instead,
    and never removes the last block; here any may go.
    """
    names = blocks(calibrator.denoiser.sites)
    wanted = [*names, *map(output_feature, names)]
    found: dict[str, list[float]] = {name: [] for name in names}
    for at in network_states(recipe, calibrator, samples):
        memory = features(at, calibrator, wanted)
        for branch, name in itertools.product(at.step.branches, names):
            change = memory.get(Lookup(branch.name, name, at.step.time))
            output = memory.get(Lookup(branch.name, output_feature(name), at.step.time))
            cosine = torch.nn.functional.cosine_similarity(output - change, output, dim=-1)
            found[name].append(1 - float(cosine.double().mean()))
    return {name: fmean(values) for name, values in found.items()}


def sensitivity(
    recipe: Recipe, calibrator: Calibrator, samples: int = _SAMPLES
) -> dict[str, float]:
    """How far the prediction moves without a block, by the block's name.

    The squared distance over the prediction's own square, the mean over a recipe's steps. The
    sensitivity that TinyFusion compares itself with (Fang et al. 2025, table 1) is that of the
    training loss.
    """
    names = blocks(calibrator.denoiser.sites)
    network = calibrator.network(samples)
    found: dict[str, list[float]] = {name: [] for name in names}
    for at in network_states(recipe, calibrator, samples):
        with torch.inference_mode():
            true = predict(network, at.step, at.x)
            for name in names:
                error = predict(network, _without(at.step, name), at.x) - true
                found[name].append(_power(error) / _power(true))
    return {name: fmean(values) for name, values in found.items()}


def prune_least(recipe: Recipe, scores: Mapping[str, float], count: int) -> Recipe:
    """Prune so many blocks of the lowest scores; of equal ones the first.

    Raises:
        UserError: when none would be left.
    """
    if count >= len(scores):
        raise UserError(
            f"{count} blocks cannot be pruned: this model has {len(scores)}, and one must stay; "
            f"prune at most {len(scores) - 1}"
        )
    least = sorted(scores, key=lambda name: scores[name])[:count]
    return recipe.model_copy(update={"pruned": [name for name in scores if name in least]})


def _without(step: StepPlan, name: str) -> StepPlan:
    branches = [replace(one, sites=((name, Action("skip")),), gate=None) for one in step.branches]
    return replace(step, branches=tuple(branches))


def _power(value: Tensor) -> float:
    return float(value.double().square().mean())


_SETTINGS = (Setting("blocks", 4, 1, 1000),)

FITS = {
    "importance": Fit(
        "block importance (ShortGPT, 2024): blocks that turn their input least are pruned",
        _SETTINGS,
        lambda recipe, calibrator, count: prune_least(
            recipe, importance(recipe, calibrator), count
        ),
        "pruned",
        # On the way, and once more for the features.
        forwards=lambda recipe, *_: 2 * _SAMPLES * len(recipe.steps),
        sites=True,
    ),
    "sensitivity": Fit(
        "blocks whose absence moves the prediction least are pruned",
        _SETTINGS,
        lambda recipe, calibrator, count: prune_least(
            recipe, sensitivity(recipe, calibrator), count
        ),
        "pruned",
        # On the way, once more, and without each of n blocks, an n-th of the network.
        forwards=lambda recipe, denoiser, count: (
            _SAMPLES * len(recipe.steps) * (1 + len(blocks(denoiser.sites)))
        ),
        sites=True,
    ),
}
