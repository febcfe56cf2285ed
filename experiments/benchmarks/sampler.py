"""Sampler time over the bare network forwards that it must do; budget 1.05."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import evaluations
from autosearch.diffusion.sampling.sampler import sample
from autosearch.engine.workers.malloc import keep_freed_memory
from autosearch.models.bundled import DigitsModel

__all__ = ["sampler"]

_BATCH = 100
_ROUNDS = 9


# Multistep, an order with a corrector, the widest history, quadrature, two evaluations a step.
_SOLVERS = ("dpmpp_2m", "unipc_3", "taylor_4m", "deis_t_3", "heun")


def sampler() -> dict[str, Any]:
    """Of each solver, the median ratio of sampler and bare forwards, measured side by side."""
    torch.set_num_threads(1)
    keep_freed_memory()
    denoiser = DigitsModel.load().denoiser
    return {name: _measured(f"{name}@10", denoiser) for name in _SOLVERS}


def _measured(name: str, denoiser: Denoiser) -> dict[str, Any]:
    plan = compile_recipe(baseline(name, denoiser), denoiser)
    noise = draw(0, Stream.EVALUATE, range(_BATCH), denoiser.sample_shape)
    condition = labels(range(_BATCH), denoiser.classes)

    def bare() -> None:
        for step, count in zip(plan.steps, evaluations(plan.steps), strict=True):
            for _ in range(count):
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
