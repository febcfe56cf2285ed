"""Scores of blocks: what they are by definition, and which blocks go."""

from collections.abc import Callable

import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.importance import importance, prune_least, sensitivity
from autosearch.baselines.fitted.names import check_name, resolve
from autosearch.baselines.fitted.network_states import predict
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import Network
from autosearch.errors import UserError
from autosearch.models.dit import DiT

FEW = 10


@pytest.fixture(scope="module")
def dit(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    return random_dit()


def test_importance_is_one_less_the_cosine(dit: NetworkDenoiser) -> None:
    """Against a forward of the network by hand, at the only state of one step."""
    recipe, calibrator = baseline("ddim@1", dit), Calibrator(dit)
    network = dit.network
    assert isinstance(network, DiT)
    x, time = calibrator.noise(FEW), recipe.steps[0].time
    labels = calibrator.condition(FEW)
    assert labels is not None
    found = importance(recipe, calibrator, FEW)
    with torch.no_grad():
        conditioning = network.conditioning(torch.full((FEW,), time), labels)
        hidden = network.embed(network.patchify(x)) + network.position
        for i, block in enumerate(network.blocks):
            output = block(hidden, conditioning)
            product = (hidden * output).sum(-1) / (hidden.norm(dim=-1) * output.norm(dim=-1))
            assert found[f"block.{i}"] == pytest.approx(1 - product.mean().item(), abs=1e-5)
            hidden = output


def test_sensitivity_is_what_leaving_out_does(dit: NetworkDenoiser) -> None:
    recipe, calibrator = baseline("ddim@1", dit), Calibrator(dit)
    found = sensitivity(recipe, calibrator, FEW)
    x = calibrator.noise(FEW)
    for name, score in found.items():
        pruned = recipe.model_copy(update={"pruned": [name]})
        steps = [compile_recipe(one, dit).steps[0] for one in (recipe, pruned)]
        network = Network(dit, calibrator.condition(FEW), None)
        true, other = (predict(network, step, x) for step in steps)
        expected = (other - true).square().mean() / true.square().mean()
        assert score == pytest.approx(expected.item(), rel=1e-4)


def test_a_block_without_effect_is_the_first_to_go(
    random_dit: Callable[..., NetworkDenoiser],
) -> None:
    denoiser = random_dit(seed=3)
    block = denoiser.network.get_submodule("blocks.2.modulation")
    for parameter in block.parameters():
        parameter.data.zero_()
    calibrator = Calibrator(denoiser)
    for name in ("importance", "sensitivity"):
        recipe = resolve(f"ddim+{name}:1@3", calibrator).recipe
        assert recipe.pruned == ["block.2"]
    assert calibrator.forward_equivalents > 0


def test_lowest_first_in_execution_order(dit: NetworkDenoiser) -> None:
    scores = {"block.0": 0.5, "block.1": 0.1, "block.2": 0.3, "block.3": 0.1}
    recipe = baseline("ddim@2", dit)
    assert prune_least(recipe, scores, 3).pruned == ["block.1", "block.2", "block.3"]
    assert prune_least(recipe, scores, 1).pruned == ["block.1"]
    with pytest.raises(UserError, match="this model has 4, and one must stay"):
        prune_least(recipe, scores, 4)


def test_random_masks_follow_from_their_seed(dit: NetworkDenoiser) -> None:
    masks = [tuple(baseline(f"ddim+random-drop:2:{s}@2", dit).pruned) for s in range(20)]
    assert all(len(set(mask)) == 2 and list(mask) == sorted(mask) for mask in masks)
    assert masks[3] == tuple(baseline("ddim+random-drop:2:3@2", dit).pruned)
    assert len(set(masks)) > 3
    with pytest.raises(UserError, match="drop at most 3, not 4"):
        baseline("ddim+random-drop:4@2", dit)


def test_one_rule_decides_what_is_pruned() -> None:
    with pytest.raises(UserError, match="bksdm and importance decide the same"):
        check_name("ddim+bksdm+importance:2@4")
