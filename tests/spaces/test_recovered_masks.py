"""Pruning with recovery as a space: every candidate asks for the same training."""

from collections.abc import Callable

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.denoiser import Denoiser, NetworkDenoiser
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces import Prune, Space

ASKED = {"steps": 2, "rate": 0.01}


@pytest.fixture(scope="module")
def dit(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    return random_dit(depth=4)


def space(denoiser: Denoiser, **settings: object) -> Space:
    return Space(denoiser, [Prune(denoiser, **settings)], baseline("ddim@2", denoiser))  # type: ignore[arg-type]


def recipe(denoiser: Denoiser, pruned: list[str], **more: object) -> Recipe:
    data = baseline("ddim@2", denoiser).to_dict()
    return Recipe.from_dict({**data, "pruned": pruned, **more})


def test_whatever_is_pruned_is_recovered(dit: NetworkDenoiser) -> None:
    searched = space(dit, recovery=ASKED)
    rng = np.random.default_rng(0)
    genomes = [searched.sample(rng) for _ in range(20)]
    genomes += [searched.mutate(one, rng) for one in genomes]
    genomes += [searched.crossover(genomes[i], genomes[-i], rng) for i in range(1, 10)]
    for genome in genomes:
        plan = searched.plan(genome)
        assert ("recovery" in genome) == ("pruned" in genome) == (plan.training is not None)
        assert searched.repair(genome) == genome
    assert searched.plan(searched.origin()).training is None


def test_it_encodes_what_is_recovered_in_its_way_alone(dit: NetworkDenoiser) -> None:
    searched, bare = space(dit, recovery=ASKED), space(dit)
    asked = recipe(dit, ["block.2"], recovery=ASKED)
    done = resolve(asked, Calibrator(dit)).recipe
    genome = searched.encode(asked)
    assert genome is not None
    assert genome["recovery"] == ASKED
    # With the weights at hand it is the same point.
    assert searched.encode(done) == genome
    assert searched.decode(genome) == asked
    others = [
        recipe(dit, ["block.2"]),
        recipe(dit, ["block.2"], recovery={**ASKED, "seed": 1}),
        recipe(dit, ["block.1"], artifacts=done.to_dict()["artifacts"]),
    ]
    assert [searched.encode(other) for other in others] == [None] * 3
    assert [bare.encode(one) is None for one in (asked, done, others[0])] == [True, True, False]


def test_refusals(dit: NetworkDenoiser, attentive: Denoiser) -> None:
    with pytest.raises(UserError, match=r"space.prune.recovery: this model has no network"):
        Prune(attentive, recovery=ASKED)
    with pytest.raises(UserError, match=r"space.prune.recovery: unknown key 'step'"):
        Prune(dit, recovery={"step": 2, "rate": 0.01})
    with pytest.raises(UserError, match=r"space.prune.recovery: key 'rate' is missing"):
        Prune(dit, recovery={"steps": 2})
    with pytest.raises(UserError, match=r"space.prune.recovery: rate: expected at most 1"):
        Prune(dit, recovery={"steps": 2, "rate": 2})
