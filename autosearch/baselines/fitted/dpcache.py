"""DPCache (2026): which steps compute, by dynamic programming over errors measured beforehand.

Steps that compute are key steps; between two of them the last block's output is forecast from the
last two. Its recurrence reaches us second-hand and keeps one predecessor for each key step, which
is not exact, as a forecast depends on two: here a cell is a pair of key steps, which is.
"""

import math

import numpy as np
import torch
from torch import Tensor

from autosearch._typing import Array
from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.network_states import features, network_states
from autosearch.baselines.fitted.shortest_path import CheapestPaths
from autosearch.diffusion.sites.memory import Lookup, extrapolate
from autosearch.diffusion.sites.sites import blocks, span
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.recipe.actions import output_feature

__all__ = ["FITS", "fit_dpcache", "forecast_errors", "key_steps"]

# Published: ten, and one does.
_SAMPLES = 20
# Published; fewer where fewer compute at all.
_FORCED = 3


def fit_dpcache(
    recipe: Recipe, calibrator: Calibrator, computed: int, order: int, samples: int = _SAMPLES
) -> Recipe:
    """Let all but ``computed`` steps forecast the output of the stack of blocks.

    Args:
        recipe: without site actions of its own.
        calibrator: the model.
        computed: how many of the steps that ask the network compute; the first three do.
        order: of the forecast, 0 or 1.
        samples: to measure on.

    Raises:
        UserError: for a recipe with actions already, or that has fewer steps.
    """
    check_recipe(recipe, "dpcache", sparse=False)
    asking = [i for i, step in enumerate(recipe.steps) if step.evaluate == "network"]
    if computed > len(asking):
        raise UserError(
            f"dpcache: {computed} steps cannot compute in a recipe of {len(asking)}; let fewer"
        )
    errors = forecast_errors(recipe, calibrator, order, samples)
    keys = {asking[i] for i in key_steps(errors, computed, forced=min(_FORCED, computed))}
    act = {span(blocks(calibrator.denoiser.sites)): f"output:{order}"}
    reusing = set(asking) - keys
    return with_steps(
        recipe, [{"sites": act if i in reusing else {}} for i in range(len(recipe.steps))]
    )


def forecast_errors(recipe: Recipe, calibrator: Calibrator, order: int, samples: int) -> Array:
    """[T, T, T]: mean absolute error of step k's feature, forecast from key steps i < j < k.

    With order 0, and where j is the first step (i = j), the feature of j is reused. Along the
    recipe as it computes everything, at the coordinates that the sampler uses.
    """
    times, outputs = _outputs(recipe, calibrator, samples)
    count = len(times)
    errors = np.full((count, count, count), np.nan)
    for j in range(count):
        for i in range(j + 1):
            known = [(times[n], outputs[n]) for n in ((i, j) if i < j and order else (j,))]
            for k in range(j + 1, count):
                error = extrapolate(known, times[k]) - outputs[k]
                errors[i, j, k] = float(error.abs().mean())
    return errors


def key_steps(errors: Array, computed: int, *, forced: int) -> tuple[int, ...]:
    """The ``computed`` key steps whose forecasts in between have the least sum of errors.

    Exact: ``D[m][j, k] = min over i of D[m - 1][i, j] + C[i, j, k]``, where ``C[i, j, k]`` is the
    sum of errors strictly between key steps j and k, forecast from i and j. Takes O(K T^3).

    Args:
        errors: as :func:`forecast_errors` gives them; those with i = j for the first step alone.
        computed: K, at least ``forced``.
        forced: so many first steps are key steps, at least one.
    """
    count = len(errors)
    start = np.full((count + 1, count + 1), math.inf)
    start[max(forced - 2, 0), forced - 1] = 0.0
    paths = CheapestPaths(start)
    between = _errors_between(errors)
    for _ in range(computed - forced + 1):
        paths.extend(between)
    # The two that a path begins with are forced, and its last node is the end.
    return (*range(forced), *paths.nodes()[2:-1])


def _errors_between(errors: Array) -> Array:
    """[T + 1, T + 1, T + 1]: sums of errors strictly between steps j and k, forecast from i and j.

    Step T is the end.
    """
    count = len(errors)
    between = np.full((count + 1,) * 3, math.inf)
    for j in range(count):
        sums = np.cumsum(errors[: j + 1, j, j + 1 :], axis=1)
        between[: j + 1, j, j + 1] = 0.0
        between[: j + 1, j, j + 2 :] = sums
    return between


def _outputs(
    recipe: Recipe, calibrator: Calibrator, samples: int
) -> tuple[list[float], list[Tensor]]:
    """Times and outputs of the last block at the steps that ask the network, branches together."""
    site = span(blocks(calibrator.denoiser.sites))
    feature = output_feature(site)
    states = network_states(recipe, calibrator, samples)
    shared = set.intersection(*({branch.name for branch in at.step.branches} for at in states))
    if not shared:
        raise UserError("dpcache: the recipe's steps have no branch in common; guide them all")
    outputs = []
    for at in states:
        memory = features(at, calibrator, [feature])
        parts = [memory.get(Lookup(name, feature, at.step.time)) for name in sorted(shared)]
        outputs.append(torch.cat(parts))
    return [at.step.time for at in states], outputs


FITS = {
    "dpcache": Fit(
        "DPCache (2026): the steps that compute, by dynamic programming over measured errors",
        (Setting("computed", 7, 1, 1000), Setting("order", 1, 0, 1)),
        fit_dpcache,
        "sites",
        # On the way, and once more for the features.
        forwards=lambda recipe, *_: 2 * _SAMPLES * len(recipe.steps),
        sites=True,
    )
}
