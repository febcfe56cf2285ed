"""HarmoniCa's router: its penalty, its blend, and the cache that comes of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.harmonica import apply_router, learn_router
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import last_state
from autosearch.diffusion.sites.interception import Mix
from autosearch.diffusion.sites.sites import parts
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

STEPS, FEW, ROUNDS = 4, 10, 15


@pytest.fixture(scope="module")
def dit(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    return random_dit(depth=2)


def router(
    dit: NetworkDenoiser, weight: float, calibrator: Calibrator | None = None
) -> torch.Tensor:
    recipe = baseline(f"ddim@{STEPS}", dit)
    return learn_router(
        recipe,
        Calibrator(dit) if calibrator is None else calibrator,
        weight,
        samples=FEW,
        rounds=ROUNDS,
    )


def test_the_penalty_decides_how_much_is_computed(dit: NetworkDenoiser) -> None:
    calibrator = Calibrator(dit)
    little, much = router(dit, 1e-6, calibrator), router(dit, 1e4)
    assert little.shape == much.shape == (STEPS, 4)
    assert torch.all(little[0] == 1)
    assert torch.all(much[0] == 1)
    assert float(much[1:].max()) < 0.5
    assert float(little[1:].mean()) > float(much[1:].mean()) + 0.2
    # Each round trains at every step; twice the proxies are measured, over all prefixes.
    assert calibrator.forward_equivalents == 4 * ROUNDS * STEPS * FEW + 2 * STEPS**2 * FEW
    recipe = apply_router(baseline(f"ddim@{STEPS}", dit), calibrator, much)
    assert [len(step.sites) for step in recipe.steps] == [0, 4, 4, 4]
    assert set(recipe.steps[1].sites) == set(parts(dit.sites))


def test_equal_seeds_learn_alike(dit: NetworkDenoiser) -> None:
    first, second, other = (router(dit, 0.1, Calibrator(dit, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_recipe_runs_and_costs_less(dit: NetworkDenoiser) -> None:
    calibrator = Calibrator(dit)
    recipe = resolve("ddim+harmonica:1000@3", calibrator).recipe
    plan = compile_recipe(recipe, dit)
    assert plan.macs < compile_recipe(baseline("ddim@3", dit), dit).macs
    with torch.inference_mode():
        assert (
            last_state(dit, plan, calibrator.noise(FEW), calibrator.condition(FEW))
            .x.isfinite()
            .all()
        )


def test_a_blend_is_between_computed_and_cached(dit: NetworkDenoiser) -> None:
    """At weight 1 the network itself, at 0 as with the part's cached feature; then gone."""
    calibrator = Calibrator(dit)
    x, labels = calibrator.noise(FEW), calibrator.condition(FEW)
    times = torch.full((FEW,), 500.0)
    plain = dit.differentiable(x, times, labels)
    instead = torch.randn(FEW, 16, 24)

    def mixed(weight: float, other: torch.Tensor | None) -> torch.Tensor:
        mixes = {"block.1.attn": Mix(torch.tensor(weight), other)}
        return dit.differentiable(x, times, labels, mixes=mixes)

    assert torch.equal(mixed(1.0, instead), plain)
    skipped = dit.differentiable(x, times, labels, skipped=["block.1.attn"])
    assert torch.allclose(mixed(0.0, None), skipped, atol=1e-6)
    assert not torch.allclose(mixed(0.0, instead), skipped, atol=1e-3)
    assert "forward" not in vars(dit.modules["block.1.attn"])


def test_refusals(dit: NetworkDenoiser, make: Callable[..., Any]) -> None:
    calibrator = Calibrator(dit)
    with pytest.raises(UserError, match="computes everything, unguided, at every step"):
        learn_router(baseline("ddim+fora:2@4", dit), calibrator, 0.1)
    exact: ExactDenoiser = make("vp")
    with pytest.raises(UserError, match="no network with gradients"):
        learn_router(baseline("ddim@4", exact), Calibrator(exact), 0.1)
    with pytest.raises(UserError, match="this model has no blocks"):
        resolve("ddim+harmonica@4", Calibrator(exact))
