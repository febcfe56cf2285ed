"""Sampler time over the bare network forwards that it must do; budget 1.05."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.sampler import sample
from autosearch.models.digits import DigitsModel
from autosearch.plan import compile_recipe

__all__ = ["sampler"]

_BATCH = 100
_ROUNDS = 9


def sampler(name: str = "dpmpp_2m@10") -> dict[str, Any]:
    """Median over rounds of the ratio, sampler and bare forwards measured side by side."""
    torch.set_num_threads(1)
    denoiser = DigitsModel.load().denoiser
    plan = compile_recipe(baseline(name, denoiser), denoiser)
    noise = draw(0, Stream.EVALUATE, range(_BATCH), denoiser.sample_shape)
    condition = labels(range(_BATCH), denoiser.classes)

    def bare() -> None:
        for step in plan.steps:
            denoiser.denoise(noise, step.time, condition)

    def full() -> None:
        with torch.inference_mode():
            sample(denoiser, plan, noise, condition)

    bare()
    ratios, rates = [], []
    for _ in range(_ROUNDS):
        ours, network = _seconds(full), _seconds(bare)
        ratios.append(ours / network)
        rates.append(_BATCH * plan.nfe / ours)
    return {
        "recipe": name,
        "batch": _BATCH,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "forwards_per_second": statistics.median(rates),
    }


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
