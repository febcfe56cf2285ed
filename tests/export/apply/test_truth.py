"""The adapter against slow, explicit versions and against diffusers' own schedulers."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autosearch.baselines import baseline
from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.models.diffusers.site_specs import SiteSpec
from autosearch.recipe import Recipe
from autosearch.recipe.actions import Action

BOTH = (Branch("cond"), Branch("uncond", "uncond"))


def branches(tiny: Any) -> tuple[Branch, ...]:
    return BOTH if tiny.guided else BOTH[:1]


def said(tiny: Any, time: float, **options: Any) -> dict[str, Tensor]:
    """What the denoiser says of unit noise."""
    denoiser = tiny.model.denoiser
    condition = torch.tensor([0, 1]) if denoiser.classes else None
    options = {"branches": branches(tiny), **options}
    return denoiser.denoise(tiny.unit_noise(), time, condition, **options)


def middle(tiny: Any) -> float:
    return 0.6 if tiny.model.denoiser.schedule.family == "flow" else 417.0


def test_five_steps_of_the_stock_pipeline(family, difference):
    """On its own scheduler's grid, called as the pipeline calls it."""
    from diffusers import DDIMScheduler

    pipe = family.loaded()
    solvers = {"EulerDiscreteScheduler": "euler", "DPMSolverMultistepScheduler": "dpmpp_2m"}
    name = solvers.get(type(pipe.scheduler).__name__, "ddim")
    if name == "ddim" and family.model.denoiser.schedule.family != "flow":
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    data = baseline(f"{name}@5", family.model.denoiser).to_dict()
    call = {}
    if family.guided:
        data["steps"] = [{**step, **family.cfg(4.0)} for step in data["steps"]]
        call = {"guidance_scale": 4.0}
    ours = family.ours(Recipe.from_dict(data))
    assert difference(family.run(pipe, **call), ours) < 1e-4


def test_skipping_is_taking_the_module_out(family, difference):
    site = family.block
    skipped = said(
        family,
        middle(family),
        branches=[
            Branch(one.name, one.condition, sites=((site, Action("skip")),))
            for one in branches(family)
        ],
    )
    module = family.model.denoiser.modules[site].module
    original = module.forward

    def passing(*args: Any, **kwargs: Any) -> Any:
        names = ("hidden_states", "encoder_hidden_states")
        hidden, text = (kwargs.get(name) for name in names)
        found = original(*args, **kwargs)
        if not isinstance(found, tuple):
            return args[0] if args else hidden
        return (args[0],) if len(found) == 1 else (text, hidden)

    module.forward = passing
    try:
        truth = said(family, middle(family))
    finally:
        del module.forward
    for name, output in truth.items():
        assert difference(skipped[name], output) < 1e-5
        assert difference(said(family, middle(family))[name], output) > 1e-4


def test_reuse_gives_what_was_computed_before(family, difference):
    site, denoiser = family.part, family.model.denoiser
    memory = FeatureMemory({site: 1})
    first, second = middle(family), 0.8 * middle(family)
    said(family, first, memory=memory)
    reused = said(
        family,
        second,
        memory=memory,
        branches=[
            Branch(one.name, one.condition, sites=((site, Action("reuse")),))
            for one in branches(family)
        ],
    )
    module = denoiser.modules[site].module
    residual = next(s for s in denoiser.sites if s.name == site).residual
    kept: list[Tensor] = []

    def keep(_: Any, args: Any, output: Tensor) -> None:
        kept.append(output - args[0] if residual else output)

    handle = module.register_forward_hook(keep)
    said(family, first)
    handle.remove()
    handle = module.register_forward_hook(
        lambda _, args, output: args[0] + kept[0] if residual else kept[0]
    )
    truth = said(family, second)
    handle.remove()
    for name, output in truth.items():
        assert difference(reused[name], output) < 1e-5


def test_perturbed_heads_are_maps_moved_towards_the_identity(family, difference, monkeypatch):
    denoiser = family.model.denoiser
    if not denoiser.heads:
        # Sana's own attention is linear; its cross-attention has no identity.
        assert family.name == "sana"
        return
    site = list(denoiser.heads)[-1]
    chosen, strength = [1, 3], 0.6
    perturbed = said(
        family,
        middle(family),
        branches=[Branch("cond", heads=((site, (1, 3)),), strength=strength)],
    )["cond"]
    module = denoiser.modules[site].module
    fused = F.scaled_dot_product_attention
    inside: list[bool] = []

    def explicit(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
        if not inside:
            return fused(query, key, value, **options)
        assert options.get("attn_mask") is None
        weights = torch.softmax(query @ key.mT / query.shape[-1] ** 0.5, dim=-1)
        identity = torch.eye(weights.shape[-1])
        weights[:, chosen] = (1 - strength) * weights[:, chosen] + strength * identity
        return weights @ value

    monkeypatch.setattr(F, "scaled_dot_product_attention", explicit)
    handles = [
        module.register_forward_pre_hook(lambda *_: inside.append(True)),
        module.register_forward_hook(lambda *_: inside.clear()),
    ]
    truth = said(family, middle(family), branches=[Branch("cond")])["cond"]
    for handle in handles:
        handle.remove()
    assert difference(perturbed, truth) < 1e-5
    plain = said(family, middle(family), branches=[Branch("cond")])["cond"]
    assert difference(plain, truth) > 1e-4


def claimed_modules(tiny: Any) -> list[Any]:
    """Modules that are attention or feed-forward, by their classes' names."""
    kinds = ("Attention", "FluxAttention", "FeedForward", "GLUMBConv")
    modules = tiny.model.denoiser.network.modules()
    found = [module for module in modules if type(module).__name__ in kinds]
    if tiny.name == "flux":
        # Single blocks have their feed-forward's first half as a plain layer.
        network = tiny.model.denoiser.network
        found += [block.proj_mlp for block in network.single_transformer_blocks]
    return found


def test_every_attention_and_feed_forward_is_claimed_exactly_once(family):
    denoiser = family.model.denoiser
    site_specs: list[SiteSpec] = denoiser.family.site_specs(denoiser.network)
    claims = [id(spec.module) for spec in site_specs]
    assert len(claims) == len(set(claims))
    wanted = claimed_modules(family)
    assert wanted
    for module in wanted:
        assert claims.count(id(module)) == 1
    names = [spec.name for spec in site_specs]
    assert len(names) == len(set(names))
    # Parents come before their children, as the compiler expects.
    for i, spec in enumerate(site_specs):
        assert spec.parent is None or spec.parent in names[:i]


def test_costs_of_sites_add_up(family):
    denoiser = family.model.denoiser
    by_name = {site.name: site for site in denoiser.sites}
    assert all(site.macs > 0 and site.elements > 0 for site in denoiser.sites)
    top = sum(site.macs for site in denoiser.sites if site.parent is None)
    assert 0.3 * denoiser.macs < top < denoiser.macs
    for name, site in by_name.items():
        inner = sum(one.macs for one in denoiser.sites if one.parent == name)
        assert inner <= site.macs


def test_a_time_that_stands_twice_and_a_step_that_stays_run_in_the_pipeline(tiny, difference):
    """As on grids that round their times and end at their smallest level."""
    family = tiny("dit")
    data = baseline("unipc-karras@5", family.model.denoiser).to_dict()
    data["steps"][1]["time"] = data["steps"][0]["time"]
    data["end"] = data["steps"][-1]["log_snr"]
    recipe = Recipe.from_dict(data)
    assert difference(family.theirs(recipe), family.ours(recipe)) < 1e-4
