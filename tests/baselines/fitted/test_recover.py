"""Recovery: weights that make up for what is pruned, the same wherever they are trained."""

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.distil import lessons, pool
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.recover import recover, recovered_plan, recovered_recipe
from autosearch.diffusion.artifact_store import FOLDER, ArtifactStore
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.plan.recovery import BATCH, POOL, POOL_STEPS
from autosearch.diffusion.sampling.sampler import sample_indices, trajectory
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser
from autosearch.recipe import Recipe

STEPS = 6


@pytest.fixture
def dit(random_dit: Callable[..., NetworkDenoiser]) -> NetworkDenoiser:
    return random_dit(seed=1)


def asking(denoiser: NetworkDenoiser, pruned: list[str], **settings: Any) -> Recipe:
    data = baseline("ddim@3", denoiser).to_dict()
    recovery = {"steps": STEPS, "rate": 0.003, **settings}
    return Recipe.from_dict({**data, "pruned": pruned, "recovery": recovery})


@pytest.fixture
def store() -> ArtifactStore:
    return ArtifactStore()


def ends(denoiser: NetworkDenoiser, plan: Plan, store: ArtifactStore | None = None) -> torch.Tensor:
    return sample_indices(
        denoiser, plan, range(20), seed=0, stream=Stream.EVALUATE, artifact_store=store
    )


def error(denoiser: NetworkDenoiser, plan: Plan, store: ArtifactStore) -> float:
    whole = ends(denoiser, compile_recipe(baseline("ddim@3", denoiser), denoiser))
    return float((ends(denoiser, plan, store) - whole).square().mean())


def test_it_recovers(dit: NetworkDenoiser, store: ArtifactStore) -> None:
    asked = compile_recipe(asking(dit, ["block.1"], steps=40), dit)
    bare = replace(asked, training=None)
    plan, found = recovered_plan(asked, dit, store)
    assert error(dit, plan, store) < 0.7 * error(dit, bare, store)
    assert plan.macs == bare.macs
    assert found is not None
    # What is not run does not change, and what does not change is not stored.
    assert not any("blocks.1." in name for name in store.tensors(found.weights))
    assert "blocks.0.attn.qkv.weight" in store.tensors(found.weights)


def test_low_rank_updates_are_part_of_the_weights_in_the_end(
    dit: NetworkDenoiser, store: ArtifactStore
) -> None:
    rank = 2
    asked = compile_recipe(asking(dit, ["block.1"], steps=40, rank=rank), dit)
    plan, found = recovered_plan(asked, dit, store)
    assert found is not None
    assert error(dit, plan, store) < 0.9 * error(dit, replace(asked, training=None), store)
    own = dict(dit.network.named_parameters())
    changed = store.tensors(found.weights)
    assert "blocks.0.attn.qkv.weight" in changed
    for name, new in changed.items():
        assert name.endswith(".weight")
        assert not name.startswith("blocks.1.")
        assert int(torch.linalg.matrix_rank((new - own[name]).double(), rtol=1e-3)) <= rank
    # Nothing of the updates stays on the network itself.
    assert not any("parametrizations" in name for name in own)


def test_equal_everywhere(random_dit: Callable[..., NetworkDenoiser]) -> None:
    """Another process has another pool, random state and number of threads."""
    found = []
    for threads in (1, 2):
        denoiser = random_dit(seed=1)
        torch.manual_seed(threads)
        plan = compile_recipe(asking(denoiser, ["block.1", "block.3"]), denoiser)
        assert plan.training is not None
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(threads)
            found.append(recover(denoiser, plan.training, ArtifactStore()).weights)
        finally:
            torch.set_num_threads(before)
    assert found[0] == found[1]


def test_the_identity_says_what_decides_the_weights(dit: NetworkDenoiser) -> None:
    plans = [
        compile_recipe(recipe, dit)
        for recipe in (
            asking(dit, ["block.1"]),
            asking(dit, ["block.2"]),
            asking(dit, ["block.1"], steps=7),
            asking(dit, ["block.1"], rate=0.004),
            asking(dit, ["block.1"], seed=1),
            asking(dit, ["block.1"], rank=2),
            asking(dit, ["block.1"]).model_copy(update={"recovery": None}),
        )
    ]
    assert len({plan.identity for plan in plans}) == len(plans)
    same = compile_recipe(asking(dit, ["block.1", "block.1.attn"]), dit)
    assert same.identity == plans[0].identity
    nothing = compile_recipe(asking(dit, []), dit)
    assert nothing.training is None
    assert nothing.identity == compile_recipe(baseline("ddim@3", dit), dit).identity


def test_trained_or_at_hand_a_plan_is_the_same(dit: NetworkDenoiser, store: ArtifactStore) -> None:
    asked = asking(dit, ["block.0", "block.2.mlp"])
    plan = compile_recipe(asked, dit)
    with pytest.raises(UserError, match="these weights are not there yet"):
        ends(dit, plan, store)
    done, found = recovered_plan(plan, dit, store)
    recipe = recovered_recipe(asked, Calibrator(dit, store))
    assert recipe.recovery is None
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    again = compile_recipe(recipe, dit)
    assert again == done
    assert again.identity == plan.identity
    assert again.training is None
    assert found is not None
    assert found.files.keys() == {found.weights.key}
    # By its key the sampler finds them too.
    assert torch.equal(ends(dit, plan, store), ends(dit, done, store))


def test_cost_is_counted_once_and_declared(dit: NetworkDenoiser, store: ArtifactStore) -> None:
    plan = compile_recipe(asking(dit, ["block.1"]), dit)
    assert plan.training is not None
    left = dit.macs - next(site.macs for site in dit.sites if site.name == "block.1")
    own = STEPS * BATCH * 3 * left
    shared = (POOL * POOL_STEPS + STEPS * BATCH) * dit.macs
    assert plan.training.macs == own + shared
    assert plan.cost(200) == pytest.approx((200 * plan.macs + plan.training.macs) / dit.macs)
    first = recover(dit, plan.training, store)
    assert first.macs == plan.training.macs
    assert recover(dit, plan.training, store).macs == 0
    # What is taught is there already, or at least what it is made of.
    for settings, more in (({}, 0), ({"steps": STEPS + 1}, (STEPS + 1) * BATCH * dit.macs)):
        other = compile_recipe(asking(dit, ["block.2"], **settings), dit)
        assert other.training is not None
        own = other.training.macs - other.training.shared_macs
        assert recover(dit, other.training, store).macs == pytest.approx(own + more, rel=1e-9)


def test_weights_come_and_go(dit: NetworkDenoiser, store: ArtifactStore) -> None:
    plan, _ = recovered_plan(compile_recipe(asking(dit, ["block.1"]), dit), dit, store)
    bare = compile_recipe(baseline("ddim@3", dit), dit)
    before, network = ends(dit, bare), dit.network
    state = copy.deepcopy(network.state_dict())
    noise, labels = Calibrator(dit).noise(20), Calibrator(dit).condition(20)
    with torch.inference_mode():
        run = functools.partial(trajectory, dit, artifact_store=store)
        alone = [[s.x for s in run(p, noise, labels)] for p in (plan, bare)]
        # One beside the other, each with its own weights.
        both = [run(p, noise, labels) for p in (plan, bare)]
        for i, states in enumerate(zip(*both, strict=True)):
            assert all(torch.equal(s.x, xs[i]) for s, xs in zip(states, alone, strict=True))
    other = dit.with_weights(plan.weights, store)
    assert other.network is not network
    # The denoisers of the last few artifacts are held, whoever asks.
    assert other.with_weights(plan.weights, store) is dit.with_weights(plan.weights, store) is other
    assert dit.with_weights(None, store) is dit
    assert dit.network is network
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    assert torch.equal(ends(dit, bare), before)


def test_other_models_are_refused(
    dit: NetworkDenoiser, random_dit: Callable[..., NetworkDenoiser], make: Callable[..., Any]
) -> None:
    store = ArtifactStore()
    recipe = recovered_recipe(asking(dit, ["block.1"]), Calibrator(dit, store))
    other = random_dit(seed=2)
    other.weights = "others"
    with pytest.raises(UserError, match="weights of another model than this one"):
        ends(other, compile_recipe(recipe, other), store)
    exact: ExactDenoiser = make("cosine")
    bare = baseline("ddim@3", exact)
    for update in ({"recovery": asking(dit, []).recovery}, {"artifacts": recipe.artifacts}):
        with pytest.raises(UserError, match="is for a model with a network whose weights"):
            compile_recipe(bare.model_copy(update=update), exact)
    data = {**recipe.to_dict(), "recovery": {"steps": 3, "rate": 0.1}}
    with pytest.raises(UserError, match="two ways to weights; give one"):
        Recipe.from_dict(data)


def test_the_fit_gives_an_artifact(dit: NetworkDenoiser, tmp_path: Path) -> None:
    calibrator = Calibrator(dit, ArtifactStore([tmp_path / FOLDER]))
    recipe = resolve(f"ddim+importance:1+recover:{STEPS}:0.003@3", calibrator).recipe
    assert calibrator.files.keys() == {recipe.artifacts["weights"].key}
    assert (tmp_path / FOLDER / f"{recipe.artifacts['weights'].key}.safetensors").is_file()
    asked = asking(dit, recipe.pruned)
    assert compile_recipe(asked, dit).identity == compile_recipe(recipe, dit).identity
    training = compile_recipe(asked, dit).training
    assert training is not None
    scoring = 2 * 3 * 100 * dit.macs
    assert calibrator.forward_equivalents * dit.macs == pytest.approx(scoring + training.macs)
    with pytest.raises(UserError, match="nothing is pruned, so there is nothing to recover"):
        resolve("ddim+recover:2@3", calibrator)


def test_what_is_taught(dit: NetworkDenoiser) -> None:
    samples = pool(dit, 0)
    assert samples.macs == POOL * POOL_STEPS * dit.macs
    assert pool(dit, 0).macs == 0
    found = list(lessons(dit, samples, torch.Generator().manual_seed(0), 3))
    assert len(found) == 3
    for lesson in found:
        assert lesson.labels is not None
        strata = (lesson.times.sort().values / 999 * BATCH).floor()
        assert torch.equal(strata, torch.arange(BATCH, dtype=strata.dtype))
        assert 0 < int(lesson.labels.eq(5).sum()) < 40
        said = dit.differentiable(lesson.x, lesson.times, lesson.labels)
        assert lesson.loss(said) == 0
