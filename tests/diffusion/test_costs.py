"""What a plan says that it costs is what an independent counter counts, attention included."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.macs import count_macs
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.sampler import last_state
from autosearch.models.bundled import DigitsModel
from autosearch.recipe import Recipe

COUNT = 10


@pytest.fixture(scope="module")
def digits() -> NetworkDenoiser:
    denoiser = DigitsModel.load().denoiser
    assert isinstance(denoiser, NetworkDenoiser)
    return denoiser


def masked(denoiser: NetworkDenoiser, seed: int) -> Plan:
    """Six steps, some guided, with random actions at blocks, parts and ranges, and pruned sites."""
    rng = np.random.default_rng(seed)
    data = baseline("dpmpp_2m@6", denoiser).to_dict()
    names = [site.name for site in denoiser.sites] + ["block.1..block.4", "block.3..block.7"]
    for step in data["steps"]:
        chosen = rng.random(len(names)) < 0.35
        actions = ["reuse", "skip", "forecast:1", "forecast:3", "output:1"]
        step["sites"] = {
            name: str(rng.choice(actions)) for name, acts in zip(names, chosen, strict=True) if acts
        }
        if rng.random() < 0.5:
            step["guidance"] = [{"rule": "cfg", "scale": 2.0}]
    data["pruned"] = [str(name) for name in rng.choice(names[:24], size=2, replace=False)]
    return compile_recipe(Recipe.from_dict(data), denoiser)


def run(denoiser: NetworkDenoiser, plan: Plan) -> tuple[int, Any]:
    noise = draw(0, Stream.EVALUATE, range(COUNT), denoiser.sample_shape)
    with count_macs() as counter:
        state = last_state(denoiser, plan, noise, labels(range(COUNT), denoiser.classes))
    return counter.total, state


@pytest.mark.parametrize("seed", range(6))
def test_random_masks_cost_what_the_counter_counts(seed: int, digits: NetworkDenoiser) -> None:
    plan = masked(digits, seed)
    macs, state = run(digits, plan)
    assert state.x.isfinite().all()
    assert macs == COUNT * plan.macs
    assert plan.macs < plan.forwards * digits.macs


@pytest.mark.parametrize("policy", ["", "+fora:2", "+taylorseer:3:2:2", "+delta", "+bksdm"])
def test_baselines_cost_what_the_counter_counts(policy: str, digits: NetworkDenoiser) -> None:
    plan = compile_recipe(baseline(f"unipc{policy}@7", digits), digits)
    assert run(digits, plan)[0] == COUNT * plan.macs


@pytest.mark.parametrize("policy", ["fbc:0.2", "cgtaylor:0.1:1:1:2"])
def test_what_gates_save_is_what_the_counter_misses(policy: str, digits: NetworkDenoiser) -> None:
    plan = compile_recipe(baseline(f"dpmpp_2m-quadratic+{policy}@12", digits), digits)
    macs, state = run(digits, plan)
    assert macs == COUNT * plan.macs - int(state.saved.sum())
    assert state.saved.sum() > 0


@pytest.mark.parametrize("removed", [["block.2"], ["block.0", "block.5", "block.6"]])
def test_a_pruned_recipe_is_the_network_rebuilt_without_its_blocks(
    removed: list[str], digits: NetworkDenoiser
) -> None:
    data = {**baseline("dpmpp_2m@4", digits).to_dict(), "pruned": removed}
    plan = compile_recipe(Recipe.from_dict(data), digits)
    pruned = run(digits, plan)[1].x
    network: Any = digits.network
    blocks = network.blocks
    try:
        network.blocks = nn.ModuleList(
            block for i, block in enumerate(blocks) if f"block.{i}" not in removed
        )
        whole = compile_recipe(baseline("dpmpp_2m@4", digits), digits)
        macs, rebuilt = run(digits, whole)
    finally:
        network.blocks = blocks
    assert torch.equal(pruned, rebuilt.x)
    assert macs == COUNT * plan.macs


def test_the_memory_that_a_plan_declares_is_held(digits: NetworkDenoiser) -> None:
    """Stored features at their largest: what the memory of a run holds at its end."""
    for seed in range(3):
        plan = masked(digits, seed)
        noise = draw(0, Stream.EVALUATE, range(COUNT), digits.sample_shape)
        memory = plan.new_memory(COUNT)
        assert memory is not None
        for step in plan.steps:
            digits.denoise(
                noise, step.time, labels(range(COUNT), 10), branches=step.branches, memory=memory
            )
        plain = compile_recipe(baseline("dpmpp_2m@6", digits), digits)
        assert memory.nbytes <= COUNT * (plan.memory - plain.memory)
