"""Branches of one network in one batch: heads, sites and stored features of their own.

All weights are random, so that every mask matters.
"""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.diffusion.sites.branches import COND, UNCOND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.models.dit import DiT, DiTConfig
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action

CONFIG = DiTConfig(image_size=4, width=12, depth=2, heads=3, mlp_ratio=2.0, num_classes=3)
SHAPE = (CONFIG.channels, CONFIG.image_size, CONFIG.image_size)
NAMES = [f"block.{i}{part}" for i in range(2) for part in ("", ".attn", ".mlp")]
REUSE, SKIP = Action("reuse"), Action("skip")
Heads = Mapping[str, Sequence[int]]


def make_network() -> DiT:
    generator = torch.Generator().manual_seed(0)
    network = DiT(CONFIG).eval()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return network


class Recording(NetworkDenoiser):
    """Remembers the branches of each call."""

    def __init__(self, network: DiT) -> None:
        self.ran: list[tuple[str, ...]] = []
        modules = {f"block.{i}": block for i, block in enumerate(network.blocks)}
        modules |= {
            f"block.{i}.{part}": getattr(block, part)
            for i, block in enumerate(network.blocks)
            for part in ("attn", "mlp")
        }
        sites = [
            Site(name, macs, 192, parent=name[:7] if name[7:] else None, residual=not name[7:])
            for name, macs in network.site_macs().items()
        ]
        super().__init__(
            network,
            schedule=VariancePreserving(),
            prediction="v",
            sample_shape=SHAPE,
            classes=3,
            null_label=3,
            sites=sites,
            modules=modules,
            heads={"block.0.attn": 3, "block.1.attn": 3},
            macs=network.macs(),
            weights="none",
        )

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        self.ran.append(tuple(one.name for one in branches))
        return super().denoise(x, t, condition, branches=branches, memory=memory)


@pytest.fixture
def denoiser() -> Recording:
    return Recording(make_network())


def inputs(key: int = 0, count: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(key)
    return torch.randn(count, *SHAPE, generator=generator), torch.arange(count) % 3


def close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def apart(one: Tensor, other: Tensor) -> None:
    assert (one - other).abs().max() > 1e-3


def compiled(denoiser: Recording, steps: Sequence[dict[str, Any]]) -> Plan:
    model = model_key(denoiser).model_dump()
    return compile_recipe(
        Recipe.from_dict({"version": 1, "model": model, "steps": steps}), denoiser
    )


def explicitly_perturbed(heads: Heads, strength: float) -> nn.Module:
    """The network with attention maps spelled out, those of the heads as ``(1 - u) A + u I``."""
    network = copy.deepcopy(make_network())

    def attend_with(chosen: Sequence[int]) -> Any:
        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            weights = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)
            for head in chosen:
                identity = torch.eye(weights.shape[-1])
                weights[:, head] = (1 - strength) * weights[:, head] + strength * identity
            return weights @ value

        return attend

    for i, block in enumerate(network.blocks):
        block.attn.attend = attend_with(heads.get(f"block.{i}.attn", ()))
    return network


def run(network: nn.Module, x: Tensor, t: float, labels: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(x, torch.full((len(x),), t), labels)
    return found


# -- perturbed heads -------------------------------------------------------------------------


def perturbed(heads: Heads, strength: float) -> Branch:
    found = tuple((site, tuple(chosen)) for site, chosen in heads.items())
    return Branch("pag0", heads=found, strength=strength)


HEADS = st.dictionaries(
    st.sampled_from(["block.0.attn", "block.1.attn"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True),
    min_size=1,
)


@given(heads=HEADS, strength=st.floats(0.05, 0.95) | st.just(1.0))
@settings(max_examples=25, deadline=None)
def test_fused_perturbation_is_the_explicit_one(heads: Heads, strength: float) -> None:
    denoiser = Recording(make_network())
    x, labels = inputs()
    branches = (COND, perturbed(heads, strength), UNCOND)
    found = denoiser.denoise(x, 500.0, labels, branches=branches)
    close(found["pag0"], run(explicitly_perturbed(heads, strength), x, 500.0, labels))
    # The other branches' rows are what they are alone.
    close(found["cond"], run(make_network(), x, 500.0, labels))
    close(found["uncond"], run(make_network(), x, 500.0, torch.full_like(labels, 3)))


def test_each_head_and_strength_matters(denoiser: Recording) -> None:
    x, labels = inputs()
    outputs = [denoiser.denoise(x, 500.0, labels)["cond"]]
    for site in ("block.0.attn", "block.1.attn"):
        for heads in ([0], [1], [2], [0, 1, 2]):
            for strength in (0.5, 1.0):
                branch = perturbed({site: heads}, strength)
                outputs.append(denoiser.denoise(x, 500.0, labels, branches=[branch])["pag0"])
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).abs().max() > 1e-4


def test_strength_1_gives_values(denoiser: Recording) -> None:
    network = make_network()
    for block in network.blocks:
        block.attn.attend = lambda query, key, value: value  # type: ignore[method-assign]
    x, labels = inputs()
    branch = perturbed({"block.0.attn": [0, 1, 2], "block.1.attn": [0, 1, 2]}, 1.0)
    found = denoiser.denoise(x, 500.0, labels, branches=[branch])["pag0"]
    close(found, run(network, x, 500.0, labels))


def test_layers_and_heads_are_named_in_recipes(denoiser: Recording) -> None:
    def steps(heads: object) -> list[dict[str, Any]]:
        rule = {"rule": "pag", "scale": 2, "heads": {"block.1.attn": heads}}
        return [{"time": 800, "guidance": rule}, {"time": 300}]

    layer = compiled(denoiser, steps("all"))
    assert layer == compiled(denoiser, steps([2, 0, 1, 0]))
    assert layer != compiled(denoiser, steps([0, 1]))
    assert layer.forwards == 3


# -- rules on a network ----------------------------------------------------------------------


@given(
    scale=st.floats(-1, 8).map(lambda v: round(v, 2)),
    push=st.floats(-1, 5).map(lambda v: round(v, 2)),
    strength=st.floats(0.1, 1),
)
@settings(max_examples=15, deadline=None)
def test_cfg_and_pag_add_up(scale: float, push: float, strength: float) -> None:
    denoiser = Recording(make_network())
    x, labels = inputs()
    strength = round(strength, 2)
    heads = {"block.0.attn": [1], "block.1.attn": [0, 2]}
    rules = [
        {"rule": "cfg", "scale": scale},
        {"rule": "pag", "scale": push, "heads": heads, "strength": strength},
    ]
    plan = compiled(denoiser, [{"time": 700, "guidance": rules}])
    got = sample(denoiser, plan, x, labels)
    with_it = run(make_network(), x, 700.0, labels)
    without = run(make_network(), x, 700.0, torch.full_like(labels, 3))
    weaker = run(explicitly_perturbed(heads, strength), x, 700.0, labels)
    v = without + scale * (with_it - without) + push * (with_it - weaker)
    alpha, sigma = denoiser.schedule.alpha_sigma(denoiser.schedule.log_snr(700.0))
    torch.testing.assert_close(got, alpha * x - sigma * v, rtol=1e-4, atol=1e-4)
    if scale not in (0, 1) and push and scale + push:
        assert len(denoiser.ran[0]) == plan.forwards == 3
        assert plan.macs == 3 * denoiser.macs


@pytest.mark.parametrize("site", NAMES)
def test_a_weaker_run_skips_its_own_sites_alone(site: str, denoiser: Recording) -> None:
    x, labels = inputs()
    rules = [
        {"rule": "cfg", "scale": 3},
        {"rule": "weak", "scale": 2.5, "sites": {site: "skip"}},
    ]
    plan = compiled(denoiser, [{"time": 700, "guidance": rules}])
    (branches, weights) = plan.steps[0].branches, plan.steps[0].weights
    weak = f"weak {site}=skip"
    assert [one.name for one in branches] == ["cond", "uncond", weak]
    assert weights == (4.5, -2.0, -1.5)
    found = denoiser.denoise(x, 700.0, labels, branches=branches)
    for one in branches:
        close(found[one.name], denoiser.denoise(x, 700.0, labels, branches=[one])[one.name])
    apart(found[weak], found["cond"])
    close(found["cond"], run(make_network(), x, 700.0, labels))
    assert plan.macs == 3 * denoiser.macs - SiteTable(denoiser.sites)[site].macs
    v = found["cond"] * 4.5 - found["uncond"] * 2 - found[weak] * 1.5
    alpha, sigma = denoiser.schedule.alpha_sigma(denoiser.schedule.log_snr(700.0))
    torch.testing.assert_close(
        sample(denoiser, plan, x, labels), alpha * x - sigma * v, rtol=1e-4, atol=1e-4
    )


# -- stored features -------------------------------------------------------------------------

ACTIONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([REUSE, SKIP]), max_size=4)


def without_nested(actions: dict[str, Action]) -> tuple[tuple[str, Action], ...]:
    """As compiled: nothing inside a block that is not computed."""
    return tuple(
        (name, action)
        for name, action in sorted(actions.items())
        if not any(name != other and name.startswith(other) for other in actions)
    )


@given(mine=ACTIONS, others=ACTIONS, third=ACTIONS)
@settings(max_examples=60, deadline=None)
def test_branches_in_one_batch_are_branches_apart(
    mine: dict[str, Action], others: dict[str, Action], third: dict[str, Action]
) -> None:
    """Also where one computes a block that another does not, and what is inside is reused."""
    denoiser = Recording(make_network())
    heads = (("block.0.attn", (0, 2)), ("block.1.attn", (1,)))
    plain = [COND, UNCOND, Branch("pag0", heads=heads, strength=0.7)]
    acting = [
        Branch(one.name, one.condition, without_nested(actions), one.heads, one.strength)
        for one, actions in zip(plain, (mine, others, third), strict=True)
    ]
    together = FeatureMemory(dict.fromkeys(NAMES, 2))
    alone = [FeatureMemory(dict.fromkeys(NAMES, 2)) for _ in plain]
    for key, (time, branches) in enumerate([(900.0, plain), (600.0, acting), (300.0, acting)]):
        x, labels = inputs(key)
        found = denoiser.denoise(x, time, labels, branches=branches, memory=together)
        for one, memory in zip(branches, alone, strict=True):
            expected = denoiser.denoise(x, time, labels, branches=[one], memory=memory)
            close(found[one.name], expected[one.name])
    assert together.nbytes == sum(memory.nbytes for memory in alone)


def cached(sites: Mapping[str, str], first: int = 0) -> list[dict[str, Any]]:
    """Guided from step ``first`` on, with sites in all steps but the first."""
    rule = {"rule": "cfg", "scale": 2}
    return [
        {
            "time": 900 - 200 * i,
            **({"guidance": rule} if i >= first else {}),
            **({"sites": dict(sites)} if i else {}),
        }
        for i in range(4)
    ]


def test_each_branch_reuses_its_own_features(denoiser: Recording) -> None:
    x, labels = inputs()
    sites = {"block.0.attn": "reuse", "block.1": "forecast:1"}
    plan = compiled(denoiser, cached(sites))
    got = sample(denoiser, plan, x, labels)
    memories = {one: FeatureMemory(plan.keep) for one in ("cond", "uncond")}
    schedule = denoiser.schedule
    for k, step in enumerate(plan.steps):
        outputs = {
            one.name: denoiser.denoise(
                x, step.time, labels, branches=[one], memory=memories[one.name]
            )[one.name]
            for one in step.branches
        }
        v = 2 * outputs["cond"] - outputs["uncond"]
        alpha, sigma = schedule.alpha_sigma(step.log_snr)
        data, noise = alpha * x - sigma * v, sigma * x + alpha * v
        if k == 3:
            break
        alpha, sigma = schedule.alpha_sigma(step.next_log_snr)
        x = alpha * data + sigma * noise
    torch.testing.assert_close(got, data, rtol=1e-4, atol=1e-4)
    apart(got, sample(denoiser, compiled(denoiser, cached({})), inputs()[0], labels))


def test_a_branch_without_history_computes(denoiser: Recording) -> None:
    plan = compiled(denoiser, cached({"block.1": "reuse"}, first=2))
    actions = [{one.name: set(one.actions) for one in step.branches} for step in plan.steps]
    assert actions == [
        {"cond": set()},
        {"cond": {"block.1"}},
        {"cond": {"block.1"}, "uncond": set()},
        {"cond": {"block.1"}, "uncond": {"block.1"}},
    ]
    saved = 4 * SiteTable(denoiser.sites)["block.1"].macs
    assert plan.macs == 6 * denoiser.macs - saved
    assert sample(denoiser, plan, *inputs()).isfinite().all()
    assert denoiser.ran == [("cond",)] * 2 + [("cond", "uncond")] * 2


def test_a_perturbed_branch_reuses_what_it_perturbed(denoiser: Recording) -> None:
    """Its heads are not computed any more, and still its features differ."""
    x, labels = inputs()
    rule = {"rule": "pag", "scale": 3, "heads": {"block.1.attn": "all"}}
    sites = {"block.1.attn": "reuse"}
    plan = compiled(
        denoiser, [{"time": 800, "guidance": rule}, {"time": 500, "guidance": rule, "sites": sites}]
    )
    assert plan.forwards == 4
    memory = FeatureMemory(plan.keep)
    for step in plan.steps:
        found = denoiser.denoise(x, step.time, labels, branches=step.branches, memory=memory)
        apart(found["cond"], found["pag block.1.attn[0,1,2] x1"])


PERTURBED = [
    {"rule": "pag", "scale": 3, "heads": {"block.0.attn": "all"}},
    {"rule": "pag", "scale": 2, "heads": {"block.1.attn": [0, 2]}, "strength": 0.4},
    {"rule": "weak", "scale": 2.5, "sites": {"block.0.mlp": "skip"}},
    {"rule": "cfg", "scale": 1.7},
]


@pytest.mark.parametrize("sites", [{"block.1": "reuse"}, {"block.1.attn": "forecast:1"}])
def test_the_order_of_rules_changes_no_image(denoiser: Recording, sites: dict[str, str]) -> None:
    """Also where it changes from step to step, and features are reused."""
    orders = list(itertools.permutations(PERTURBED))
    steps = [
        [
            {
                "time": 900 - 200 * i,
                "guidance": list(orders[seed * i]),
                **({"sites": sites} if i else {}),
            }
            for i in range(4)
        ]
        for seed in (0, 5, 7)
    ]
    plans = [compiled(denoiser, one) for one in steps]
    assert len({plan.identity for plan in plans}) == 1
    images = [sample(denoiser, plan, *inputs()) for plan in plans]
    assert all(torch.equal(image, images[0]) for image in images)


def test_runs_that_perturb_something_else_share_no_memory(denoiser: Recording) -> None:
    first, second = PERTURBED[:2]
    sites = {"block.1.mlp": "reuse"}
    for other in (second, {**first, "strength": 0.5}, PERTURBED[2]):
        plan = compiled(
            denoiser,
            [
                {"time": 900, "guidance": [first]},
                {"time": 600, "guidance": [other], "sites": sites},
                {"time": 300, "guidance": [other], "sites": sites},
            ],
        )
        # The second step has nothing of its own to reuse yet, and leaves it to the third.
        reused = [[set(one.actions) >= {"block.1.mlp"} for one in s.branches] for s in plan.steps]
        assert reused == [[False, False], [True, False], [True, True]]
        assert plan.steps[0].branches[1].name != plan.steps[1].branches[1].name
    same = compiled(
        denoiser,
        [
            {"time": 900, "guidance": [first]},
            {"time": 600, "guidance": [{**first, "scale": 5}], "sites": sites},
        ],
    )
    assert all("block.1.mlp" in one.actions for one in same.steps[1].branches)


def test_storing_changes_nothing(denoiser: Recording) -> None:
    x, labels = inputs()
    heads = (("block.0.attn", (0, 2)),)
    branches = (COND, UNCOND, Branch("pag0", heads=heads, strength=0.4))
    memory = FeatureMemory(dict.fromkeys(NAMES, 2))
    storing = denoiser.denoise(x, 500.0, labels, branches=branches, memory=memory)
    plain = denoiser.denoise(x, 500.0, labels, branches=branches)
    assert all(torch.equal(storing[name], plain[name]) for name in plain)


# -- nothing is left behind ------------------------------------------------------------------


def leftovers(network: nn.Module) -> list[str]:
    return [
        name
        for name, module in network.named_modules()
        if {"forward", "attend"} & vars(module).keys()
    ]


def test_modules_are_as_before_also_after_an_exception(denoiser: Recording) -> None:
    x, labels = inputs()
    plain = denoiser.denoise(x, 500.0, labels)["cond"]
    heads = (("block.0.attn", (0,)), ("block.1.attn", (1,)))
    good = Branch("pag0", sites=(("block.1.mlp", SKIP),), heads=heads, strength=1.0)
    bad = Branch("weak0", sites=(("block.1.mlp", REUSE),), heads=heads, strength=1.0)
    memory = FeatureMemory(dict.fromkeys(NAMES, 1))
    denoiser.denoise(x, 500.0, labels, branches=[COND, good], memory=memory)
    assert leftovers(denoiser.network) == []
    with pytest.raises(KeyError):  # nothing is stored for this branch
        denoiser.denoise(x, 500.0, labels, branches=[COND, bad], memory=memory)
    assert leftovers(denoiser.network) == []
    assert torch.equal(denoiser.denoise(x, 500.0, labels)["cond"], plain)


def test_the_attend_of_another_library_is_called_and_put_back(denoiser: Recording) -> None:
    x, labels = inputs()
    attention: Any = denoiser.network.get_submodule("blocks.1.attn")
    original, calls = attention.attend, []

    def hook(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        calls.append(len(query))
        found: Tensor = original(query, key, value)
        return found

    attention.attend = hook
    branch = perturbed({"block.1.attn": [0]}, 0.5)
    denoiser.denoise(x, 100.0, labels, branches=[COND, branch])
    assert calls == [2 * len(x)]
    assert attention.attend is hook
