"""Ranges of sites, whole outputs, pruning: on a DiT whose weights are all random."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import sample
from autosearch.errors import UserError
from autosearch.recipe import Recipe

MakeDit = Callable[..., NetworkDenoiser]
COUNT = 8


@pytest.fixture
def denoiser(random_dit: MakeDit) -> NetworkDenoiser:
    return random_dit()


def compiled(denoiser: NetworkDenoiser, sites: Sequence[Mapping[str, str]], **rest: Any) -> Plan:
    times = [950 - 900 * i // len(sites) for i in range(len(sites))]
    steps = [{"time": t, "sites": dict(s)} for t, s in zip(times, sites, strict=True)]
    steps = [{**step, **rest.pop(f"step{i}", {})} for i, step in enumerate(steps)]
    for step in steps:
        if "guidance" in rest:
            step["guidance"] = rest["guidance"]
    rest.pop("guidance", None)
    model = model_key(denoiser).model_dump()
    data = {"version": 1, "model": model, "steps": steps, **rest}
    return compile_recipe(Recipe.from_dict(data), denoiser)


def sampled(denoiser: NetworkDenoiser, plan: Plan) -> Tensor:
    noise = draw(0, Stream.EVALUATE, range(COUNT), denoiser.sample_shape)
    return sample(denoiser, plan, noise, labels(range(COUNT), denoiser.classes))


# -- pruning -----------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["block.1"], ["block.0.attn", "block.3"], ["block.2.mlp"]])
def test_pruned_is_skipped_at_every_step_in_every_branch(
    names: list[str], denoiser: NetworkDenoiser
) -> None:
    guided = {"guidance": [{"rule": "cfg", "scale": 2.0}]}
    skips = [dict.fromkeys(names, "skip")] * 3
    pruned = compiled(denoiser, [{}] * 3, pruned=names, **guided)
    assert pruned == compiled(denoiser, skips, **guided)
    assert pruned.identity == compiled(denoiser, skips, **guided).identity
    assert all(len(step.branches) == 2 for step in pruned.steps)
    plain = compiled(denoiser, [{}] * 3, **guided)
    assert pruned.macs < plain.macs
    assert (sampled(denoiser, pruned) - sampled(denoiser, plain)).abs().max() > 1e-4


def test_what_a_step_does_inside_a_pruned_site_is_inert(denoiser: NetworkDenoiser) -> None:
    inner = [{}, {"block.1.attn": "reuse", "block.1": "reuse"}, {"block.1.mlp": "skip"}]
    pruned = compiled(denoiser, inner, pruned=["block.1"])
    assert pruned == compiled(denoiser, [{}] * 3, pruned=["block.1"])
    ranged = compiled(denoiser, [{}] * 3, pruned=["block.1..block.2"])
    assert ranged == compiled(denoiser, [{}] * 3, pruned=["block.2", "block.1"])


def test_a_weak_run_is_pruned_too(denoiser: NetworkDenoiser) -> None:
    weak = {"guidance": [{"rule": "weak", "scale": 2.0, "sites": {"block.3": "skip"}}]}
    plan = compiled(denoiser, [{}], pruned=["block.0"], **weak)
    assert {branch.name: list(branch.actions) for branch in plan.steps[0].branches} == {
        "cond": ["block.0"],
        "weak block.3=skip": ["block.0", "block.3"],
    }


# -- ranges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["reuse", "forecast:1", "forecast:2"])
def test_a_range_is_its_sites_together(action: str, denoiser: NetworkDenoiser) -> None:
    """Differences add up, and so do their forecasts; one feature instead of three is stored."""
    members = ["block.1", "block.2", "block.3"]
    guided = {"guidance": [{"rule": "cfg", "scale": 2.0}]}
    one = compiled(denoiser, [{}, {}, {}, {"block.1..block.3": action}, {}], **guided)
    each = compiled(denoiser, [{}, {}, {}, dict.fromkeys(members, action), {}], **guided)
    torch.testing.assert_close(
        sampled(denoiser, one), sampled(denoiser, each), rtol=1e-4, atol=1e-5
    )
    assert one.macs == each.macs
    kept = sum(one.keep.values())
    assert sum(each.keep.values()) == 3 * kept
    plain = compiled(denoiser, [{}] * 5, **guided)
    feature = denoiser.sites[0].elements * 4 * 2
    assert one.memory - plain.memory == kept * feature
    assert (sampled(denoiser, one) - sampled(denoiser, plain)).abs().max() > 1e-4


def test_a_range_goes_on_over_what_it_skips(denoiser: NetworkDenoiser) -> None:
    """Its feature is what its members do together, with those that are pruned doing nothing."""
    ranged = {"block.0..block.3": "reuse"}
    steps = [{}, ranged, ranged]
    plan = compiled(denoiser, steps, pruned=["block.2"])
    parts = dict.fromkeys(["block.0", "block.1", "block.3"], "reuse")
    each = compiled(denoiser, [{}, parts, parts], pruned=["block.2"])
    assert plan.macs == each.macs
    torch.testing.assert_close(sampled(denoiser, plan), sampled(denoiser, each))


def test_a_range_is_stored_where_all_of_it_is_computed(denoiser: NetworkDenoiser) -> None:
    ranged = {"block.1..block.2": "reuse"}
    # Half of it is reused before, so nothing of the range is known at its own step but the first.
    plan = compiled(
        denoiser, [{}, {"block.1": "reuse"}, ranged, {"block.1..block.2": "forecast:1"}]
    )
    assert [dict(s.branches[0].sites).keys() for s in plan.steps] == [
        set(),
        {"block.1"},
        {"block.1..block.2"},
        {"block.1..block.2"},
    ]
    assert str(plan.steps[3].branches[0].actions["block.1..block.2"]) == "reuse"
    inert = compiled(denoiser, [{"block.1": "skip", "block.2": "skip"}, ranged])
    assert inert.steps[1].branches[0].sites == ()


def test_a_range_of_one_is_the_site(denoiser: NetworkDenoiser) -> None:
    one = compiled(denoiser, [{}, {"block.2..block.2": "reuse"}])
    assert one == compiled(denoiser, [{}, {"block.2": "reuse"}])
    skipped = compiled(denoiser, [{}, {"block.2..block.3": "skip"}])
    assert skipped == compiled(denoiser, [{}, {"block.2": "skip", "block.3": "skip"}])


def test_of_ranges_that_overlap_the_first_acts(denoiser: NetworkDenoiser) -> None:
    both = {"block.1..block.3": "reuse", "block.0..block.2": "reuse", "block.3.attn": "reuse"}
    first = {"block.0..block.2": "reuse", "block.3.attn": "reuse"}
    plan = compiled(denoiser, [{}, both, {}])
    assert plan == compiled(denoiser, [{}, first, {}])
    assert sampled(denoiser, plan).isfinite().all()


def test_the_larger_of_nested_ranges_acts(denoiser: NetworkDenoiser) -> None:
    nested = {"block.1..block.2": "reuse", "block.1..block.3": "reuse", "block.2": "skip"}
    assert compiled(denoiser, [{}, nested]) == compiled(
        denoiser, [{}, {"block.1..block.3": "reuse"}]
    )


# -- whole outputs ---------------------------------------------------------------------------------


def test_an_output_is_taken_whatever_goes_in(denoiser: NetworkDenoiser) -> None:
    """Reusing the last block's output is reusing the network's hidden state there."""
    plan = compiled(denoiser, [{}, {"block.0..block.3": "output:0"}])
    last = compiled(denoiser, [{}, {"block.0..block.2": "skip", "block.3": "output:0"}])
    assert plan.macs == last.macs
    assert list(plan.keep) == ["block.0..block.3:output"]
    torch.testing.assert_close(sampled(denoiser, plan), sampled(denoiser, last))
    difference = compiled(denoiser, [{}, {"block.0..block.3": "reuse"}])
    assert (sampled(denoiser, plan) - sampled(denoiser, difference)).abs().max() > 1e-4


def test_outputs_of_parts_are_their_features(denoiser: NetworkDenoiser) -> None:
    sites = [{}, {}, {"block.1.attn": "output:1", "block.2.mlp": "output:0"}]
    same = [{}, {}, {"block.1.attn": "forecast:1", "block.2.mlp": "reuse"}]
    assert compiled(denoiser, sites) == compiled(denoiser, same)


def test_outputs_and_differences_are_stored_apart(denoiser: NetworkDenoiser) -> None:
    both = [{}, {"block.2": "output:0"}, {"block.2": "reuse"}]
    plan = compiled(denoiser, both)
    assert plan.keep == {"block.2:output": 1, "block.2": 1}
    assert sampled(denoiser, plan).isfinite().all()


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"block.1..block.9": "reuse"}, "unknown site 'block.9'; did you mean 'block."),
        ({"block.3..block.1": "reuse"}, "'block.3..block.1' is no range"),
        ({"block.1.attn..block.1.mlp": "reuse"}, "is no range: it goes from a site whose output"),
        ({"block.1..block.2..block.3": "reuse"}, "is no range"),
    ],
)
def test_ranges_that_cannot_be(
    sites: dict[str, str], message: str, denoiser: NetworkDenoiser
) -> None:
    with pytest.raises(UserError) as caught:
        compiled(denoiser, [{}, sites])
    assert message in str(caught.value)
    assert "recipe: steps[1].sites: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_pruned_sites_are_named(denoiser: NetworkDenoiser) -> None:
    with pytest.raises(UserError, match=r"^recipe: pruned: unknown site 'blok.2'; did you mean"):
        compiled(denoiser, [{}], pruned=["blok.2"])
