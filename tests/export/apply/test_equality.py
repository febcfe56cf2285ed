"""A recipe applied to the stock pipeline gives the latents that our sampler scored."""

from itertools import pairwise
from typing import Any

import pytest

TOLERANCE = 1e-4
PLAIN: list[dict[str, Any]] = [{"order": 2}] * 5


def together(tiny: Any) -> Any:
    """All mechanisms in one recipe, as far as the family has them."""
    guided = tiny.cfg()["guidance"] if tiny.guided else []
    perturbed = tiny.pag()["guidance"] if tiny.model.denoiser.heads else []
    return tiny.recipe(
        [
            {"order": 2},
            {"order": 2, "guidance": guided, "sites": {tiny.part: "skip"}},
            {"order": 3, "form": "taylor", "guidance": [*guided, *perturbed], "eta": 0.5},
            {"order": 3, "sites": {tiny.part: "reuse"}, "corrector": "pseudo"},
            {"order": 2, "sites": {tiny.part: "forecast:1"}},
        ]
    )


def test_everything_in_one_recipe(family, difference):
    recipe = together(family)
    ours = family.ours(recipe)
    assert difference(family.theirs(recipe), ours) < TOLERANCE
    # Not what the plain recipe gives: the parts have effects.
    assert difference(family.ours(family.recipe(PLAIN)), ours) > 1e-3


def cached(tiny: Any) -> Any:
    reused = {"sites": {tiny.block: "reuse"}}
    return tiny.recipe([{}, reused, {}, {"sites": {tiny.part: "reuse"}}, reused])


def forecast(tiny: Any) -> Any:
    ahead = {"sites": {tiny.block: "forecast:1"}}
    return tiny.recipe([{}, {}, ahead, {"sites": {tiny.part: "forecast:2"}}, ahead])


def gated(tiny: Any) -> Any:
    """Samples pass when the first site hardly changed; with such a threshold all of them do."""
    probe = tiny.model.denoiser.sites[0].name
    gate = {"probe": probe, "threshold": 100.0, "covers": {tiny.part: "reuse"}}
    return tiny.recipe([{}, {"gate": gate}, {}, {"gate": {**gate, "measure": "change"}}, {}])


SINGLE = {
    "order 2": lambda tiny: tiny.recipe(PLAIN),
    "order 3": lambda tiny: tiny.recipe([{"order": 3, "form": "taylor"}] * 5),
    "noise": lambda tiny: tiny.recipe([{"order": 3, "prediction": "noise"}] * 5),
    "cache": cached,
    "forecast": forecast,
    "gate": gated,
    "output": lambda tiny: tiny.recipe(
        [{}, {}, {"sites": {tiny.block: "output:1"}}, {}, {"sites": {tiny.block: "output:0"}}]
    ),
    "stretched": lambda tiny: tiny.recipe([{}, {"interval": 0.8}, {}, {"interval": 0.9}, {}]),
    "pruned": lambda tiny: tiny.recipe(PLAIN, pruned=[tiny.block]),
    "weak": lambda tiny: tiny.recipe(
        [{"guidance": [{"rule": "weak", "scale": 2.0, "sites": {tiny.block: "skip"}}]}] * 5
    ),
    "stochastic": lambda tiny: tiny.recipe([{"order": 2, "eta": 0.7}] * 5),
    "implicit": lambda tiny: tiny.recipe([{"corrector": "implicit", "order": 2}] * 5),
    "pseudo": lambda tiny: tiny.recipe(
        [{"corrector": "pseudo", "order": 2, "form": "unipc_bh2"}] * 5
    ),
    "analytic": lambda tiny: tiny.recipe([{"evaluate": "zero_x0"}, *PLAIN[1:]]),
    "start": lambda tiny: tiny.recipe(PLAIN, start={"scale": "sigma"}),
}
GUIDED = {
    "interval": lambda tiny: tiny.recipe([{}, tiny.cfg(), tiny.cfg(5.0), {}, {}]),
    "cfgpp": lambda tiny: tiny.recipe(
        [{}, *([{"order": 2, "guidance": [{"rule": "cfgpp", "scale": 0.6}]}] * 3), {}]
    ),
    "cached and guided": lambda tiny: tiny.recipe(
        [tiny.cfg(), {**tiny.cfg(), "sites": {tiny.block: "reuse"}}, {}, tiny.cfg(2.0), tiny.cfg()]
    ),
}


@pytest.mark.diffusers
@pytest.mark.parametrize("case", SINGLE)
def test_each_mechanism(family, case, difference):
    recipe = SINGLE[case](family)
    ours = family.ours(recipe)
    assert difference(family.theirs(recipe), ours) < TOLERANCE
    if case != "order 2":
        assert difference(family.ours(family.recipe(PLAIN)), ours) > 1e-4


@pytest.mark.diffusers
@pytest.mark.parametrize("case", GUIDED)
def test_guidance(family, case, difference):
    if not family.guided:
        with pytest.raises(Exception, match="without its condition"):
            family.ours(GUIDED[case](family))
        return
    recipe = GUIDED[case](family)
    ours = family.ours(recipe)
    assert difference(family.theirs(recipe), ours) < TOLERANCE
    assert difference(family.ours(family.recipe(PLAIN)), ours) > 1e-3


@pytest.mark.diffusers
def test_perturbed_heads(family, difference):
    if not family.model.denoiser.heads:
        assert family.name == "sana"
        return
    recipe = family.recipe([family.pag()] * 3 + [{}] * 2)
    ours = family.ours(recipe)
    assert difference(family.theirs(recipe), ours) < TOLERANCE
    assert difference(family.ours(family.recipe([{}] * 5)), ours) > 1e-3


@pytest.mark.diffusers
def test_a_range_of_blocks(family, difference):
    sites = [site for site in family.model.denoiser.sites if site.parent is None]
    names = [site.name for site in sites]
    pair = next(
        (f"{a.name}..{b.name}" for a, b in pairwise(sites) if a.residual and b.residual),
        None,
    )
    assert pair is not None, names
    recipe = family.recipe([{}, {"sites": {pair: "reuse"}}, {}, {"sites": {pair: "reuse"}}, {}])
    ours = family.ours(recipe)
    assert difference(family.theirs(recipe), ours) < TOLERANCE
    assert difference(family.ours(family.recipe([{}] * 5)), ours) > 1e-4


VARIANTS = {
    "sd3": {"dual_attention_layers": [0, 1], "qk_norm": "rms_norm"},
    "sd15": {"layers_per_block": 2, "transformer_layers_per_block": 2},
    "flux": {"guidance_embeds": False, "num_layers": 1, "num_single_layers": 3},
    "sana": {"qk_norm": "rms_norm_across_heads"},
    "pixart_alpha": {},
}


@pytest.mark.diffusers
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_families(tiny, name, difference):
    """A second attention, more layers, no embedded guidance, normed keys, sizes that are told."""
    one = tiny(name, **VARIANTS[name])
    recipe = together(one)
    ours = one.ours(recipe)
    assert difference(one.theirs(recipe), ours) < TOLERANCE
    kinds = ("Attention", "FluxAttention", "FeedForward", "GLUMBConv")
    network = one.model.denoiser.network
    wanted = [id(module) for module in network.modules() if type(module).__name__ in kinds]
    claims = [id(port.module) for port in one.model.denoiser.modules.values()]
    assert [claims.count(module) for module in wanted] == [1] * len(wanted)
