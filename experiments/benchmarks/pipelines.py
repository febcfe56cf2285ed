"""Our sampler beside the stock pipeline, on random networks.

They are of DiT-XL/2's and FLUX's size on a GPU in bfloat16, and small ones on a CPU.
"""

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, evaluations
from autosearch.diffusion.sampling.sampler import sample
from autosearch.experiments.benchmarks.tiny_pipelines import pipeline_folder
from autosearch.models.diffusers.model import PipelineModel
from autosearch.models.diffusers.optional_import import diffusers_class, quiet
from autosearch.recipe import Recipe

__all__ = ["pipelines"]

_STEPS = 8
_ROUNDS = 5
_GUIDANCE = 4.0


@dataclass(frozen=True)
class _Setup:
    """One network: how it is built, run and asked."""

    name: str
    network: Mapping[str, Any]
    options: Mapping[str, Any]
    ask: Mapping[str, Any]
    recipe: str
    batch: int


# The text is as long as the tiny encoders' 77 tokens allow.
_TEXT = {"prompt_count": 1, "max_sequence_length": 64, "guidance_scale": 3.5}
_CPU = (
    _Setup(
        "dit",
        {"num_attention_heads": 6, "attention_head_dim": 64, "num_layers": 4, "sample_size": 16},
        {"classes": 4, "guidance_scale": _GUIDANCE},
        {"guidance_scale": _GUIDANCE},
        "ddim",
        4,
    ),
    _Setup(
        "flux",
        {"num_attention_heads": 6, "attention_head_dim": 64, "axes_dims_rope": (16, 24, 24)}
        | {"num_layers": 2, "num_single_layers": 2},
        {**_TEXT, "height": 32, "width": 32},
        {"height": 32, "width": 32, "max_sequence_length": 64, "guidance_scale": 3.5},
        "ddim-flow",
        4,
    ),
)
_GPU = (
    _Setup(
        "dit",
        {"num_attention_heads": 16, "attention_head_dim": 72, "num_layers": 28, "sample_size": 32},
        {"classes": 16, "guidance_scale": _GUIDANCE, "dtype": "bfloat16"},
        {"guidance_scale": _GUIDANCE},
        "ddim",
        16,
    ),
    _Setup(
        "flux",
        {"num_attention_heads": 24, "attention_head_dim": 128, "axes_dims_rope": (16, 56, 56)}
        | {"num_layers": 19, "num_single_layers": 38},
        {**_TEXT, "height": 128, "width": 128, "dtype": "bfloat16"},
        {"height": 128, "width": 128, "max_sequence_length": 64, "guidance_scale": 3.5},
        "ddim-flow",
        2,
    ),
)


def pipelines() -> dict[str, Any]:
    """Speeds of our sampler and of the stock pipeline, for each network.

    ``stock``: samples a second of our sampler over those of the stock pipeline, same steps.
    ``applied``: the same for the stock pipeline with the recipe applied.
    ``bare``: our sampler's time over that of the bare forwards that it must do.
    ``cached``: wall time of recipes that reuse, over their share of the multiply-accumulates.
    """
    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    with tempfile.TemporaryDirectory() as place:
        found = {
            setup.name: _measured(setup, Path(place), device) for setup in (_GPU if cuda else _CPU)
        }
    return {"device": torch.cuda.get_device_name() if cuda else "cpu", **found}


def _measured(setup: _Setup, place: Path, device: str) -> dict[str, Any]:
    with quiet():
        folder = pipeline_folder(setup.name, place, **setup.network)
        model = PipelineModel.load(path=str(folder), block=None, **setup.options).to(device)
        dtype = model.denoiser.network_dtype
        pipe = diffusers_class("DiffusionPipeline").from_pretrained(folder, torch_dtype=dtype)
    pipe.to(device).set_progress_bar_config(disable=True)
    recipe = baseline(f"{setup.recipe}@{_STEPS}", model.denoiser)
    runs = _runs(setup, model, pipe, recipe, device)
    seconds = _seconds(runs, device)
    cached = {
        name: {
            "time": seconds[name] / seconds["ours"],
            "macs": _share(model, setup, name, recipe),
            "factor": seconds[name] / seconds["ours"] / _share(model, setup, name, recipe),
        }
        for name in _CACHES
    }
    return {
        "parameters": sum(parameter.numel() for parameter in model.denoiser.network.parameters()),
        "batch": setup.batch,
        "steps": _STEPS,
        "samples_per_second": setup.batch / seconds["ours"],
        "stock": seconds["stock"] / seconds["ours"],
        "applied": seconds["stock"] / seconds["applied"],
        "bare": seconds["ours"] / seconds["bare"],
        "cached": cached,
    }


def _runs(
    setup: _Setup, model: PipelineModel, pipe: Any, recipe: Recipe, device: str
) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    import autosearch

    denoiser = model.denoiser
    plan = compile_recipe(recipe, denoiser)
    noise = draw(0, Stream.EVALUATE, range(setup.batch), denoiser.sample_shape).to(device)
    condition = labels(range(setup.batch), denoiser.classes).to(device)

    def ours(plan: Plan) -> Tensor:
        with torch.inference_mode():
            return sample(denoiser, plan, noise, condition)

    def bare() -> None:
        for step, count in zip(plan.steps, evaluations(plan.steps), strict=True):
            for _ in range(count):
                denoiser.denoise(noise, step.time, condition, branches=step.branches)

    asked = (
        {"class_labels": list(range(setup.batch))}
        if setup.name == "dit"
        else {"prompt": ["a boat"] * setup.batch, "output_type": "latent"}
    )

    def stock() -> Any:
        return pipe(num_inference_steps=_STEPS, **asked, **setup.ask)

    def applied() -> Any:
        autosearch.apply(recipe, pipe)
        try:
            return stock()
        finally:
            autosearch.remove(pipe)

    caches = {
        name: functools.partial(ours, compile_recipe(_cached(recipe, name, model), denoiser))
        for name in _CACHES
    }
    return {
        "ours": functools.partial(ours, plan),
        "bare": bare,
        "stock": stock,
        "applied": applied,
        **caches,
    }


# What every other step reuses.
_CACHES = ("blocks", "parts")


def _cached(recipe: Recipe, name: str, model: PipelineModel) -> Recipe:
    from autosearch.diffusion.sites.sites import blocks, parts

    sites = (blocks if name == "blocks" else parts)(model.denoiser.sites)
    data = recipe.to_dict()
    for step in data["steps"][1::2]:
        step["sites"] = dict.fromkeys(sites, "reuse")
    return Recipe.from_dict(data)


def _share(model: PipelineModel, setup: _Setup, name: str, recipe: Recipe) -> float:
    denoiser = model.denoiser
    full = compile_recipe(recipe, denoiser)
    return compile_recipe(_cached(recipe, name, model), denoiser).macs / full.macs


def _seconds(runs: Mapping[str, Callable[[], Any]], device: str) -> dict[str, float]:
    """The median of each, in turns, so that all see the same machine.

    On a CPU it is the processor's time of this one thread, which others' work does not lengthen.
    """
    clock = time.perf_counter if device == "cuda" else time.process_time
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(_ROUNDS):
        for name, run in runs.items():
            start = clock()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            found[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in found.items()}
