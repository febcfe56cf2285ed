"""A program that runs a recipe with stock diffusers alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autosearch.export.stock_network import StockNetwork, stock_network
from autosearch.export.stock_solver import StockSolver, stock_solver
from autosearch.models.diffusers.families import PipelineFamily
from autosearch.recipe import Recipe

__all__ = ["Target", "stock_program"]

_PROGRAM = '''\
"""Samples as the recipe beside this file says, with diffusers alone."""

from pathlib import Path

import torch
from diffusers import {imports}

MODEL = {model!r}
CALL = {call!r}
{constants}

def load(model=MODEL):
    pipe = {kind}.from_pretrained(model, {options})
    pipe.scheduler = {scheduler}.from_config(
        pipe.scheduler.config,
        **{settings!r},
    )
{body}    return pipe


if __name__ == "__main__":
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = load().to(device)(**CALL).images
    for i, image in enumerate(images):
        image.save(Path(__file__).parent / f"stock{{i}}.png")
'''
_PRUNING = """\
    lists = [
        getattr(pipe.transformer, name)
        for name in ("transformer_blocks", "single_transformer_blocks")
        if hasattr(pipe.transformer, name)
    ]
    for number in PRUNED:
        for blocks in lists:
            if number < len(blocks):
                del blocks[number]
                break
            number -= len(blocks)
"""
_TIMES = """\
    own = pipe.scheduler.set_timesteps

    def set_timesteps(num_inference_steps=None, device=None):
        return own({argument}=TIMES, device=device)

    pipe.scheduler.set_timesteps = set_timesteps
"""
_CACHE = """\
    first = len(pipe.transformer.transformer_blocks)

    def module(site):
        _, number, *part = site.split(".")
        double = int(number) < first
        name = "transformer_blocks" if double else "single_transformer_blocks"
        parts = {{"mlp": "ff" if double else "proj_mlp", "context_mlp": "ff_context"}}
        place = int(number) if double else int(number) - first
        return "[.]".join([name, str(place), *(parts.get(one, one) for one in part)])

    pipe.transformer.enable_cache(
        TaylorSeerCacheConfig(
            {settings},
            taylor_factors_dtype=torch.float32,
            cache_identifiers=[module(site) for site in CACHED],
        )
    )
"""


@dataclass(frozen=True)
class Target:
    """What a program runs, and on what.

    Attributes:
        pipeline: name of the pipeline's class.
        family: the kind of its network.
        model: folder or name on a hub.
        dtype: of the weights.
        call: arguments of the pipeline's call, times and guidance aside.
    """

    pipeline: str
    family: PipelineFamily
    model: str
    dtype: str
    call: Mapping[str, Any]


def stock_program(recipe: Recipe, target: Target) -> str | list[str]:
    """The text of the program, or every reason why stock diffusers cannot run the recipe."""
    solver = stock_solver(recipe, scales_start=target.family.scales_start)
    network = stock_network(recipe, target.pipeline, target.family)
    reasons = [solver] if isinstance(solver, str) else []
    reasons += network if isinstance(network, list) else []
    if reasons or isinstance(solver, str) or isinstance(network, list):
        return reasons
    if network.pruned and (network.cache or "skip_guidance_layers" in network.call):
        return ["blocks that are taken out change the numbers of those that are cached or skipped"]
    constants, body = _network_lines(network)
    inside = target.family.condition == "text"
    if not inside:
        constants.insert(0, f"TIMES = {list(solver.values)}")
        body.insert(0, _TIMES.format(argument=solver.argument))
    kind, layers = network.pag or (target.pipeline, ())
    names = {kind, solver.scheduler} | ({"TaylorSeerCacheConfig"} if network.cache else set())
    options = f", pag_applied_layers={list(layers)!r}" if layers else ""
    return _PROGRAM.format(
        imports=", ".join(sorted(names)),
        model=target.model,
        call=_arguments(solver, network, target.call, inside=inside),
        constants="".join(f"{line}\n" for line in constants),
        kind=kind,
        options=f"torch_dtype=torch.{target.dtype}{options}",
        scheduler=solver.scheduler,
        settings=dict(solver.settings),
        body="".join(body),
    )


def _arguments(
    solver: StockSolver, network: StockNetwork, call: Mapping[str, Any], *, inside: bool
) -> dict[str, Any]:
    """Arguments of the pipeline's call, times among them where it takes them."""
    values = list(solver.values)
    closing = solver.scheduler == "EulerDiscreteScheduler"
    times: dict[str, Any] = {solver.argument: values} if inside else {}
    return {**call, **network.call, "num_inference_steps": len(values) - closing, **times}


def _network_lines(network: StockNetwork) -> tuple[list[str], list[str]]:
    """Lines of constants, and lines that change the network."""
    constants, body = [], []
    if network.pruned:
        constants.append(f"PRUNED = {sorted(network.pruned, reverse=True)}")
        body.append(_PRUNING)
    if network.cache:
        settings, sites = network.cache
        constants.append(f"CACHED = {list(sites)}")
        shown = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        body.append(_CACHE.format(settings=shown))
    return constants, body
