"""Wall time of recipes that leave something out over their share of the whole; budget 1.10.

With forecasts, the time that their stored features take to pass through memory comes on top of the
share; the ratio to the plain share stands beside it.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.sampler import last_state
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.engine.workers.malloc import keep_freed_memory
from autosearch.models.bundled import DigitsModel

__all__ = ["caches"]

_BATCH = 256
_ROUNDS = 7
_BASE = "dpmpp_2m"
_STEPS = 20
# From 0.2 to 1.0 of the full cost.
_REUSES = (
    "drop:0",
    "bksdm",
    "fora:2",
    "fora:3",
    "fora:6",
    "delta:2",
    "delta:3",
    "delta:8:1",
    "bksdm+fora:2",
)
_FORECASTS = ("taylorseer:2:1", "taylorseer:3:1", "taylorseer:5:1", "taylorseer:3:2", "taylorseer")
_GATES = ("fbc:0.2", "fbc:0.4", "cgtaylor:0.1:1:1:3", "cgtaylor:0.3:1:1:3")
# Numbers in a tensor that no cache holds.
_LARGE = 32 * 2**20


def caches() -> dict[str, Any]:
    """Ratios of each recipe, measured in turns with the one that computes everything."""
    torch.set_num_threads(1)
    keep_freed_memory()
    denoiser = DigitsModel.load().denoiser
    bandwidth = _bandwidth()
    return {
        "batch": _BATCH,
        "bytes_per_second": bandwidth,
        "reuse and skip": {name: _measured(name, denoiser, bandwidth) for name in _REUSES},
        "forecast": {name: _measured(name, denoiser, bandwidth) for name in _FORECASTS},
        "gated": {name: _measured(name, denoiser, bandwidth) for name in _GATES},
    }


def _measured(policy: str, denoiser: Denoiser, bandwidth: float) -> dict[str, Any]:
    whole = compile_recipe(baseline(f"{_BASE}@{_STEPS}", denoiser), denoiser)
    plan = compile_recipe(baseline(f"{_BASE}+{policy}@{_STEPS}", denoiser), denoiser)
    noise = draw(0, Stream.EVALUATE, range(_BATCH), denoiser.sample_shape)
    condition = labels(range(_BATCH), denoiser.classes)

    def run(chosen: Plan) -> float:
        with torch.inference_mode():
            saved = last_state(denoiser, chosen, noise, condition).saved
        return 0.0 if saved is None else float(saved.double().mean())

    share = (plan.macs - run(plan)) / whole.macs
    moved = _bytes_moved(plan, denoiser) * _BATCH / bandwidth
    ratios, with_moving = [], []
    for _ in range(_ROUNDS):
        full = _seconds(lambda: run(whole))
        ours = _seconds(lambda: run(plan))
        ratios.append(ours / (share * full))
        with_moving.append(ours / (share * full + moved))
    return {
        "share": share,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_with_moving": statistics.median(with_moving),
    }


def _bytes_moved(plan: Plan, denoiser: Denoiser) -> int:
    """Bytes of stored features that forecasts of one sample read."""
    table = SiteTable(denoiser.sites)
    return denoiser.dtype.itemsize * sum(
        table[name].elements * (action.order + 1)
        for step in plan.steps
        for branch in step.branches
        for name, action in branch.sites
        if action.remembers and action.order
    )


def _bandwidth() -> float:
    """Bytes per second that pass through memory in a copy, read and written."""
    source, target = torch.ones(_LARGE), torch.empty(_LARGE)
    target.copy_(source)
    best = min(_seconds(lambda: target.copy_(source)) for _ in range(5))
    return 2 * source.numel() * source.element_size() / best


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
