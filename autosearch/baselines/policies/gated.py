"""Caches behind a threshold, decided for each sample (published: for a batch as a whole)."""

from collections.abc import Sequence

from autosearch.baselines.base import Policy, RecipeData, Setting
from autosearch.baselines.policies.gated_steps import GatedCache
from autosearch.diffusion.denoiser import Denoiser

__all__ = ["POLICIES"]


def _write(data: RecipeData, denoiser: Denoiser, cache: GatedCache) -> None:
    gates = cache.steps(len(data["steps"]), denoiser.sites)
    for step, gate in zip(data["steps"], gates, strict=True):
        if gate is not None:
            step["gate"] = gate


def _cgtaylor(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """CG-Taylor (2025) at its setting for DiT-XL at 50 steps.

    Threshold 0.008; orders 3 for the first block and 1 for the last; the first 3 steps and the
    last one always compute. For FLUX: 0.13 or 0.03, orders 1 and 1.
    """
    threshold, probe_order, order, warmup = values
    _write(
        data,
        denoiser,
        GatedCache(
            threshold,
            probe_order=int(probe_order),
            order=int(order),
            warmup=int(warmup),
            tail=1,
        ),
    )


def _fbc(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """First-block cache as in diffusers: threshold 0.05, one block."""
    _write(data, denoiser, GatedCache(values[0], "change"))


def _dbcache(data: RecipeData, denoiser: Denoiser, values: Sequence[float]) -> None:
    """DBCache of cache-dit: threshold 0.08, the first 8 blocks and 8 steps always computed.

    Its defaults, without blocks computed at the end; a model of fewer blocks keeps all but one.
    """
    threshold, first, warmup = values
    _write(data, denoiser, GatedCache(threshold, "change", first=int(first), warmup=int(warmup)))


def _threshold(default: float) -> Setting:
    return Setting("threshold", default, 0, 1e6, whole=False)


POLICIES = {
    "cgtaylor": Policy(
        "CG-Taylor (2025): the last block's forecast where the first block's is good",
        (
            _threshold(0.008),
            Setting("probe order", 3, 0, 4),
            Setting("order", 1, 0, 4),
            Setting("warmup", 3, 1, 1000),
        ),
        _cgtaylor,
        "gate",
    ),
    "fbc": Policy(
        "first-block cache: the rest is reused where the first block hardly changed",
        (_threshold(0.05),),
        _fbc,
        "gate",
    ),
    "dbcache": Policy(
        "DBCache (cache-dit): as first-block cache, with more blocks and a warm-up",
        (_threshold(0.08), Setting("first", 8, 1, 1000), Setting("warmup", 8, 1, 1000)),
        _dbcache,
        "gate",
    ),
}
