"""Guidance as a space: valid everywhere, cheap outside its interval, refused where it cannot be."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces import FewStepSchedule, GuidanceChoice, Space, Timesteps


@pytest.fixture(params=["linear", "cosine", "edm", "flow"])
def model(request, spaces) -> Denoiser:
    return conditional(spaces(request.param).denoiser)


def conditional(denoiser: Denoiser) -> Denoiser:
    denoiser.conditions = ("cond", "uncond")
    return denoiser


def make(denoiser: Denoiser, **options: object) -> Space:
    families = [Timesteps(denoiser), GuidanceChoice(denoiser, **options)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


def guidance_of(genome: dict) -> list:
    return [step.get("guidance", []) for step in genome["steps"]]


def check_inside(space: Space, genome: dict) -> None:
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    assert "genes" not in space.decode(genome).to_dict()
    genes = genome["genes"]["guidance"]
    count = len(genome["steps"])
    inside = range(round(genes["first"] * count), round(genes["last"] * count))
    for i, rules in enumerate(guidance_of(genome)):
        assert len(rules) == (i in inside)
        for rule in rules:
            share = 1 if rule["rule"] == "cfg" else 12.5
            assert rule["rule"] == genes["rule"]
            assert rule["scale"] * share == pytest.approx(genes["scale"])
    again = space.encode(space.decode(genome))
    assert again is not None
    assert guidance_of(again) == guidance_of(genome)
    plan = space.plan(genome)
    # Scale 1 is the conditional model.
    guided = len(inside) if genes["rule"] == "cfg" and genes["scale"] != 1 else 0
    if genes["rule"] == "cfg":
        assert plan.forwards == plan.nfe + guided


def test_operators_stay_inside_and_move(model):
    space = make(model)
    rng = np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(2)]
    while len(found) < 80:
        a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
        before = json.dumps([a, b])
        child = space.mutate(a, rng) if rng.random() < 0.5 else space.crossover(a, b, rng)
        assert json.dumps([a, b]) == before
        check_inside(space, child)
        found.append(child)
    genes = [genome["genes"]["guidance"] for genome in found]
    assert {one["rule"] for one in genes} == {"cfg", "cfgpp"}
    assert len({json.dumps(one) for one in genes}) >= 20
    assert any(0 < sum(map(bool, guidance_of(g))) < len(g["steps"]) for g in found)


@settings(max_examples=40, deadline=None)
@given(places=st.lists(st.floats(0, 1), min_size=11, max_size=11))
def test_every_point_of_the_box_decodes(spaces, places):
    space = make(conditional(spaces("cosine").denoiser), scale=[0.5, 4], last=[0.5, 1])
    point = UnitBox(space.box()).point(np.array(places))
    genome = space.from_box(point)
    check_inside(space, genome)
    genes = genome["genes"]["guidance"]
    assert genes["rule"] == point["guidance.rule"]
    assert genes["scale"] == pytest.approx(point["guidance.scale"], abs=1e-3)
    assert 0.5 <= genes["last"] <= 1


def test_the_box_has_the_rule_only_where_there_are_two(model):
    names = [parameter.name for parameter in GuidanceChoice(model).box()]
    assert names == ["rule", "scale", "first", "last"]
    one = GuidanceChoice(model, rules=["cfgpp"])
    assert [parameter.name for parameter in one.box()] == names[1:]
    genome = {"steps": [{"time": 1}] * 2}
    one.from_box(genome, {"scale": 7.5, "first": 0, "last": 1})
    assert guidance_of(genome) == [[{"rule": "cfgpp", "scale": 0.6}]] * 2


def guided_recipe(space: Space, rules: list) -> Recipe:
    data = baseline(f"ddim@{len(rules)}", space.denoiser).to_dict()
    for step, rule in zip(data["steps"], rules, strict=True):
        step["guidance"] = rule
    return Recipe.from_dict(data)


CFG = {"rule": "cfg", "scale": 1.5}
PAG = {"rule": "pag", "scale": 1, "heads": {"a": "all"}}


@pytest.mark.parametrize(
    ("rules", "inside"),
    [
        ([None] * 5, True),
        ([CFG] * 5, True),
        ([None, CFG, CFG, None, None, None, None], True),
        ([{"rule": "cfgpp", "scale": 0.6}] * 4, True),
        ([CFG, None, CFG, None], False),
        ([CFG, {"rule": "cfg", "scale": 2}], False),
        ([CFG, {"rule": "cfgpp", "scale": 0.12}], False),
        ([{"rule": "cfg", "scale": 9}] * 3, False),
        ([{"rule": "cfg", "scale": 1.23456}] * 3, False),
        ([{"rule": "cfgpp", "scale": 0.9}] * 3, False),
        ([PAG] * 3, False),
        ([[CFG, PAG]] * 3, False),
    ],
)
def test_what_is_inside(model, rules, inside):
    space = make(model)
    recipe = guided_recipe(space, rules)
    genome = recipe.to_dict()
    family = next(f for f in space.families if isinstance(f, GuidanceChoice))
    assert family.encodes(genome) is inside
    if inside:
        encoded = space.encode(recipe)
        check_inside(space, encoded)
        wanted = [step.get("guidance", []) for step in genome["steps"]]
        assert guidance_of(encoded) == wanted


def test_settings_narrow_the_space(model):
    space = make(model, scale=[2, 3], rules=["cfg"], first=[0.2, 0.4], last=[0.8, 0.8])
    assert space.encode(baseline("ddim@5", model)) is None
    rng = np.random.default_rng(0)
    genome = space.sample(rng)
    for _ in range(40):
        genome = space.crossover(space.mutate(genome, rng), space.sample(rng), rng)
        genes = genome["genes"]["guidance"]
        assert genes["rule"] == "cfg"
        assert 2 <= genes["scale"] <= 3
        assert 0.2 <= genes["first"] <= 0.4
        assert genes["last"] == 0.8


def test_it_goes_with_few_step(spaces):
    denoiser = conditional(spaces("linear").denoiser)
    families = [GuidanceChoice(denoiser), FewStepSchedule(denoiser)]
    space = Space(denoiser, families, baseline("ddim@6", denoiser))
    rng = np.random.default_rng(0)
    genome = space.sample(rng)
    for _ in range(40):
        genome = space.mutate(genome, rng)
        assert genome["genes"].keys() == {"few_step", "guidance"}
        assert space.repair(genome) == genome


def test_unconditional_models_are_refused_in_one_line(spaces):
    with pytest.raises(
        UserError, match=r"^space.guidance: rule 'cfg' needs a model that also .* leave the family"
    ):
        GuidanceChoice(spaces("linear").denoiser)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": [3, 1]}, "space.guidance.scale: .*in order from 0 to 12.5"),
        ({"scale": [1, 13]}, "to 12.5, got"),
        ({"scale": [1, 101], "rules": ["cfg"]}, "to 100, got"),
        ({"scale": 3}, "two numbers"),
        ({"scale": [1, "8"]}, "two numbers"),
        ({"scale": [1, float("nan")]}, "in order"),
        ({"scale": [True, 8]}, "two numbers"),
        ({"first": [-0.1, 1]}, "space.guidance.first: .*from 0 to 1, got"),
        ({"last": [0, 1.5]}, "space.guidance.last"),
        ({"first": [0.8, 1], "last": [0, 0.5]}, "the interval ends before it starts"),
        ({"rules": []}, "expected a list of rules"),
        ({"rules": "cfg"}, "expected a list of rules"),
        ({"rules": ["cfgp"]}, "unknown rule 'cfgp'; did you mean 'cfg"),
        ({"rules": ["pag"]}, "rule 'pag' needs a model that has attention heads"),
        ({"rules": ["weak"]}, "rule 'weak' needs a model that has sites"),
        ({"rules": ["classifier"]}, "rule 'classifier' needs a model that has a classifier"),
    ],
)
def test_impossible_settings_are_refused(spaces, settings, message):
    with pytest.raises(UserError, match=message):
        GuidanceChoice(conditional(spaces("linear").denoiser), **settings)
