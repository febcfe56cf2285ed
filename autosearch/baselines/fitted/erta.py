"""ERTACache (2025): which steps reuse, how far they go, and a line that mends what they say.

All three are fitted on a few samples of the recipe without any cache, each step by itself. Its
formulas reach us second-hand. Where it reuses the difference between a network's output and its
input, what we reuse is what the stack of blocks adds; and where it linearises a sigmoid of the
prediction for the error, we fit the line itself by least squares.
"""

import torch
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.network_states import predict, uncached_predictions
from autosearch.diffusion.sites.sites import blocks, span
from autosearch.errors import UserError
from autosearch.recipe import Recipe, round_float

__all__ = ["FITS", "fit_erta", "with_rectification", "with_shorter_intervals"]

# A step that went nowhere would be no step.
_LEAST_INTERVAL = 0.05
_SAMPLES = 100


def fit_erta(
    recipe: Recipe, calibrator: Calibrator, threshold: float, samples: int = _SAMPLES
) -> Recipe:
    """Let a recipe reuse its stack of blocks where that hardly changed, adjusted and rectified.

    Args:
        recipe: without site actions of its own.
        calibrator: the model.
        threshold: the largest relative L1 distance of what the network adds to its input from
            what it added at the last step that computed; published: 0.08 to 0.6 by model.
        samples: to fit on.

    Raises:
        UserError: for a model without blocks, or a recipe with actions already.
    """
    every = blocks(calibrator.denoiser.sites)
    if not every:
        raise UserError("ERTACache: this model has no blocks to reuse; use another recipe")
    check_recipe(recipe, "ERTACache", sparse=False)
    chosen, stored = [], None
    for _, x, true in uncached_predictions(recipe, calibrator, samples):
        added = true - x
        limit = threshold * float(added.abs().mean())
        near = stored is not None and _distance(stored, added) < limit
        chosen.append({span(every): "reuse"} if near else {})
        stored = stored if near else added
    cached = with_steps(recipe, [{"sites": sites} for sites in chosen])
    shortened = with_shorter_intervals(cached, calibrator, samples)
    return with_rectification(shortened, calibrator, samples)


def with_shorter_intervals(
    recipe: Recipe, calibrator: Calibrator, samples: int = _SAMPLES
) -> Recipe:
    """Steps that leave something out go less far, the worse they are.

    ``phi = 1 - |cached - true|_1 / |true - next true|_1``, from 0.05 (published: 0) to 1. The last
    step goes to the end in any case.
    """
    pairs = _both(recipe, calibrator, samples)
    factors = []
    for i, (true, cached) in enumerate(pairs):
        if cached is None or i + 1 == len(pairs):
            factors.append(1.0)
            continue
        change = _distance(true, pairs[i + 1][0])
        share = 1 - _distance(cached, true) / change if change > 0 else 1.0
        factors.append(round_float(min(max(share, _LEAST_INTERVAL), 1.0)))
    return with_steps(recipe, [{"interval": factor} for factor in factors])


def with_rectification(recipe: Recipe, calibrator: Calibrator, samples: int = _SAMPLES) -> Recipe:
    """The line ``a v + b`` from what each step that leaves something out says to the truth.

    Ordinary least squares over all numbers of all samples. Steps that compute everything have
    none, nor have those with a gate.
    """
    changes: list[dict[str, object]] = []
    pairs = _both(recipe, calibrator, samples)
    for step, (true, cached) in zip(recipe.steps, pairs, strict=True):
        fitted = None if cached is None or step.gate is not None else _line(cached, true)
        changes.append({"rectify": fitted})
    return with_steps(recipe, changes)


def _both(
    recipe: Recipe, calibrator: Calibrator, samples: int
) -> list[tuple[Tensor, Tensor | None]]:
    """At each state of the uncached recipe: the true prediction, and the cached one if another."""
    bare = with_steps(recipe, [{"rectify": None}] * len(recipe.steps))
    plan = calibrator.plan(bare)
    network = calibrator.network(samples, plan.new_memory(samples))
    found: list[tuple[Tensor, Tensor | None]] = []
    for step, (_, x, true) in zip(
        plan.steps, uncached_predictions(recipe, calibrator, samples), strict=True
    ):
        with torch.inference_mode():
            cached = predict(network, step, x)
        acts = any(branch.sites for branch in step.branches)
        found.append((true, cached if acts else None))
    return found


def _line(cached: Tensor, true: Tensor) -> list[float] | None:
    x, y = cached.double().flatten(), true.double().flatten()
    variance = float(((x - x.mean()) ** 2).mean())
    if not variance:
        return None
    factor = float(((x - x.mean()) * (y - y.mean())).mean()) / variance
    return [round_float(factor), round_float(float(y.mean()) - factor * float(x.mean()))]


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean())


FITS = {
    "erta": Fit(
        "ERTACache (2025): reuse where little changes, its intervals and its errors mended",
        (Setting("threshold", 0.2, 0.0, 10.0, whole=False),),
        fit_erta,
        "sites",
        # Uncached, and both ways for the intervals and for the lines.
        forwards=lambda recipe, *_: 5 * _SAMPLES * len(recipe.steps),
        sites=True,
    )
}
