"""TinyFusion's gates: their patterns, their gradients, and that they leave out what is useless."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.tinyfusion import Gates, learn_mask
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

NAMES = [f"block.{i}" for i in range(8)]


@pytest.mark.parametrize(("group", "keep"), [(2, 1), (4, 2), (8, 4), (4, 3)])
def test_every_draw_is_of_the_pattern(group: int, keep: int) -> None:
    gates = Gates(NAMES, group=group, keep=keep)
    kept = gates.draw(50, 4.0, torch.Generator().manual_seed(0))
    assert kept.shape == (50, 8)
    assert torch.allclose(kept.reshape(50, -1, group).sum(-1), torch.tensor(float(keep)))
    assert torch.allclose(kept.round(), kept, atol=1e-6)
    assert len(gates.pruned) == 8 - keep * (8 // group)


def test_all_ways_are_drawn_alike_at_first() -> None:
    kept = Gates(NAMES, group=4, keep=2).draw(4000, 1.0, torch.Generator().manual_seed(0))
    assert torch.allclose(kept.mean(0), torch.tensor(0.5), atol=0.03)


def test_gradients_favour_what_is_rewarded() -> None:
    """Straight through the hard choice: reward block 1 and 6 alone."""
    gates = Gates(NAMES, group=4, keep=1)
    optimizer = torch.optim.Adam(gates.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        kept = gates.draw(100, 1.0, generator)
        optimizer.zero_grad()
        (-kept[:, [1, 6]].sum(1).mean()).backward()
        optimizer.step()
    assert gates.pruned == [name for name in NAMES if name not in ("block.1", "block.6")]


@pytest.fixture(scope="module")
def idle(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    """A network whose blocks 1 and 2 do nothing."""
    denoiser = random_dit(seed=4)
    for i in (1, 2):
        for parameter in denoiser.network.get_submodule(f"blocks.{i}.modulation").parameters():
            parameter.data.zero_()
    return denoiser


def test_what_does_nothing_goes(idle: NetworkDenoiser) -> None:
    before = {name: value.clone() for name, value in idle.network.state_dict().items()}
    calibrator = Calibrator(idle)
    recipe = resolve("ddim+tinyfusion:2:2:25@2", calibrator).recipe
    assert recipe.pruned == ["block.1", "block.2"]
    # Samples to train on, then four forwards of a batch at each step.
    assert calibrator.forward_equivalents == pytest.approx(1000 * 10 + 4 * 25 * 100)
    assert idle.network.state_dict().keys() == before.keys()
    assert all(value.equal(before[name]) for name, value in idle.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in idle.network.parameters())


def test_equal_seeds_learn_alike(random_dit: Callable[..., NetworkDenoiser]) -> None:
    denoiser = random_dit(seed=5)
    masks = [learn_mask(Calibrator(denoiser, seed=3), remove=2, group=4, steps=4) for _ in range(2)]
    assert masks[0] == masks[1]


def test_refusals(idle: NetworkDenoiser, make: Callable[..., Any]) -> None:
    calibrator = Calibrator(idle)
    with pytest.raises(UserError, match="groups of 3 do not divide this model's 4 blocks; use 2"):
        learn_mask(calibrator, remove=2, group=3, steps=1)
    with pytest.raises(UserError, match="1 blocks cannot be taken out of 2 groups of 2"):
        learn_mask(calibrator, remove=1, group=2, steps=1)
    with pytest.raises(UserError, match="4 blocks cannot be taken out"):
        learn_mask(calibrator, remove=4, group=4, steps=1)
    exact: ExactDenoiser = make("vp")
    with pytest.raises(UserError, match="this model has no blocks"):
        resolve("ddim+tinyfusion@2", Calibrator(exact))
