"""The rule itself as a choice, with what only it has, and families that share the steps."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces import (
    GuidanceChoice,
    GuidanceScales,
    HeadSets,
    NamedRecipes,
    Space,
)

ALL = ["cfg", "cfgpp", "classifier", "pag", "weak"]


def make(denoiser, *families) -> Space:
    named = NamedRecipes(denoiser, recipes=["ddim@6"])
    return Space(denoiser, [named, *families], baseline("ddim@6", denoiser))


def chosen(denoiser, **options) -> Space:
    return make(denoiser, GuidanceChoice(denoiser, **{"rules": ALL, **options}))


def walk(space: Space, length: int) -> list[dict]:
    rng = np.random.default_rng(0)
    found = [space.sample(rng), space.sample(rng)]
    while len(found) < length:
        a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
        before = json.dumps([a, b])
        child = space.mutate(a, rng) if rng.random() < 0.6 else space.crossover(a, b, rng)
        assert json.dumps([a, b]) == before
        found.append(child)
    return found


def check(space: Space, genome: dict) -> None:
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    again = space.encode(space.decode(genome))
    assert again is not None
    assert space.plan(again).identity == space.plan(genome).identity


def test_every_rule_is_found_and_round_trips(attentive):
    space = chosen(attentive, strength=[0.2, 1], scale=[0, 4])
    found = walk(space, 150)
    for genome in found:
        check(space, genome)
    assert {genome["genes"]["guidance"]["rule"] for genome in found} == set(ALL)
    kinds = {
        rule["rule"]
        for genome in found
        for step in genome["steps"]
        for rule in step.get("guidance", [])
    }
    assert kinds == set(ALL)


def test_scales_of_all_rules_are_in_the_unit_of_cfg(attentive):
    space = chosen(attentive)
    family = next(f for f in space.families if isinstance(f, GuidanceChoice))
    genes = family.default()
    written = {rule: family.to_rule({**genes, "rule": rule}, 2.5) for rule in ALL}
    assert written == {
        "cfg": {"rule": "cfg", "scale": 2.5},
        "cfgpp": {"rule": "cfgpp", "scale": 0.2},
        "classifier": {"rule": "classifier", "scale": 1.5},
        "pag": {"rule": "pag", "scale": 1.5, "heads": {"block.0.attn": "all"}},
        "weak": {"rule": "weak", "scale": 2.5, "sites": {"block.0": "skip"}},
    }
    assert {rule: family.from_rule(one)[1] for rule, one in written.items()} == {
        rule: pytest.approx(2.5) for rule in ALL
    }
    # At 1 each of them, CFG++ apart, is the plain sampler.
    plain = space.plan(space.origin())
    for rule in ALL:
        data = baseline("ddim@6", attentive).to_dict()
        for step in data["steps"]:
            step["guidance"] = [family.to_rule({**genes, "rule": rule}, 1.0)]
        encoded = space.encode(Recipe.from_dict(data))
        assert encoded is not None
        assert (space.plan(encoded) == plain) is (rule != "cfgpp")


def test_every_point_of_the_box_decodes(attentive):
    spaces = [
        chosen(attentive, strength=[0.2, 1]),
        make(attentive, GuidanceScales(attentive, rules=ALL, pieces=5)),
        make(attentive, HeadSets(attentive, scale=[0, 3], strength=[0, 1], last=[0, 1])),
    ]

    @settings(max_examples=25, deadline=None)
    @given(places=st.lists(st.floats(0, 1), min_size=16, max_size=16))
    def decodes(places: list[float]) -> None:
        for space in spaces:
            box = space.box()
            assert len(box) <= 16
            point = UnitBox(box).point(np.array(places[: len(box)]))
            check(space, space.from_box(point))

    decodes()


def test_the_box_holds_only_what_varies(attentive):
    def names(**options) -> list[str]:
        return [p.name for p in GuidanceChoice(attentive, **options).box()]

    ends = ["scale", "first", "last"]
    assert names(rules=["cfg"]) == ends
    assert names(rules=["pag"]) == ["layer", *ends]
    assert names(rules=["pag"], layer=["block.3.attn"], strength=[0, 1]) == ["strength", *ends]
    assert names(rules=["weak", "classifier"], discount=[1, 1]) == [
        "rule",
        "weaker",
        "temperature",
        *ends,
    ]


def test_two_families_share_the_steps(attentive):
    """Whichever comes first, each keeps its own rules, and leaves the other's."""
    guidance = GuidanceChoice(attentive, rules=["cfg", "classifier"])
    heads = HeadSets(attentive, scale=[0.5, 2])
    orders = [make(attentive, *order) for order in ([guidance, heads], [heads, guidance])]
    for space in orders:
        found = walk(space, 60)
        for genome in found:
            check(space, genome)
        both = [
            [rule["rule"] for rule in step.get("guidance", [])]
            for genome in found
            for step in genome["steps"]
        ]
        assert ["cfg", "pag"] in both
        assert ["classifier", "pag"] in both
        assert ["pag"] in both
    rng = np.random.default_rng(0)
    genome = orders[0].sample(rng)
    assert orders[0].repair(genome) == orders[1].repair(genome)


def test_one_rule_belongs_to_one_family(attentive):
    for families in (
        [GuidanceChoice(attentive, rules=["pag"]), HeadSets(attentive)],
        [GuidanceChoice(attentive, rules=["cfg"]), GuidanceScales(attentive, rules=["cfgpp"])],
    ):
        with pytest.raises(UserError, match=r"^space: .* and .* both write rule '(pag|cfg)'"):
            make(attentive, *families)


def test_what_no_family_writes_is_outside(attentive):
    data = baseline("ddim@6", attentive).to_dict()
    data["steps"][2]["guidance"] = [{"rule": "pag", "scale": 1, "heads": {"block.1.attn": [0]}}]
    recipe = Recipe.from_dict(data)
    assert chosen(attentive, rules=["cfg"]).encode(recipe) is None
    assert make(attentive, GuidanceScales(attentive)).encode(recipe) is None
    assert make(attentive, HeadSets(attentive)).encode(recipe) is None  # not at scale 3
    assert make(attentive, HeadSets(attentive, scale=[1, 1], first=[0, 1], last=[0, 1])).encode(
        recipe
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer": ["block.12.attn"]}, "space.guidance.layer: unknown site 'block.12.attn'; did"),
        ({"weaker": ["blok.1"]}, "space.guidance.weaker: unknown site 'blok.1'; did you mean"),
        ({"strength": [0, 2]}, "space.guidance.strength: .*from 0 to 1, got"),
        ({"temperature": [2, 1]}, "space.guidance.temperature: .*in order from 0"),
        ({"discount": 0.5}, "space.guidance.discount: .*two numbers"),
        ({"first": [0.6, 1], "last": [0, 0.5]}, "the interval ends before it starts"),
    ],
)
def test_impossible_settings_are_refused(attentive, settings, message):
    with pytest.raises(UserError, match=message):
        chosen(attentive, **settings)
