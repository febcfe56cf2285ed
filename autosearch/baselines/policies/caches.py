"""Caches at regular intervals, by step and block alone."""

from collections.abc import Sequence

from autosearch.baselines.base import Policy, RecipeData, Setting
from autosearch.baselines.policies.cached_steps import IntervalCache
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks

__all__ = ["POLICIES"]

_INTERVAL = Setting("interval", 3, 1, 1000)
_ORDER = Setting("order", 4, 0, 4)
_WARMUP = Setting("warmup", 2, 1, 1000)


def _write(data: RecipeData, denoiser: Denoiser, cache: IntervalCache) -> None:
    written = cache.steps(len(data["steps"]), denoiser.sites)
    for step, sites in zip(data["steps"], written, strict=True):
        step["sites"] = sites


def _fora(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """FORA (Selvaraju et al. 2024): attention and feed-forward of all blocks, at interval 3."""
    _write(data, denoiser, IntervalCache(int(values[0])))


def _taylorseer(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """TaylorSeer (Liu et al. 2025), module by module.

    Published for DiT at 50 steps: interval 4, order 4, the first 2 steps computed; for FLUX: 6, 1
    and 3. It forecasts in the step's number; we do in the network's time, whose gaps are the true
    ones where a grid is uneven, and with divided differences.
    """
    interval, order, warmup = map(int, values)
    _write(data, denoiser, IntervalCache(interval, order, warmup))


def _delta(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """Delta-DiT (Chen et al. 2024): what a range of blocks adds; first the rear, then the front.

    The paper sets the interval, the number of blocks and the boundary by hand for each model, and
    we could not check its values: ours leave out three quarters of the blocks (``share``) on every
    second step, and turn from rear to front half-way.
    """
    interval, share, boundary = int(values[0]), values[1], values[2]
    size = max(round(share * len(blocks(denoiser.sites))), 1)
    cache = IntervalCache(interval, cached=size, boundary=boundary, whole=True)
    _write(data, denoiser, cache)


POLICIES = {
    "fora": Policy(
        "FORA (Selvaraju et al. 2024): every interval-th step computes, the others reuse",
        (_INTERVAL,),
        _fora,
        "sites",
    ),
    "taylorseer": Policy(
        "TaylorSeer (Liu et al. 2025): as FORA, the others forecast",
        (Setting("interval", 4, 1, 1000), _ORDER, _WARMUP),
        _taylorseer,
        "sites",
    ),
    "delta": Policy(
        "Delta-DiT (Chen et al. 2024): the difference of a range of blocks is reused",
        (
            Setting("interval", 2, 1, 1000),
            Setting("share", 0.75, 0, 1, whole=False),
            Setting("boundary", 0.5, 0, 1, whole=False),
        ),
        _delta,
        "sites",
    ),
}
