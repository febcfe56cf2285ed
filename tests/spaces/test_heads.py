"""Sets of attention heads: valid everywhere, recombined as sets, selected by algorithms."""

import json

import numpy as np
import pytest

from autosearch.algorithms.base import Result
from autosearch.algorithms.greedy import ElementFamily, Greedy, element_sets
from autosearch.algorithms.nsga2 import NSGA2
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces import HeadSets, NamedRecipes, Space, Timesteps


def make(denoiser, **options) -> Space:
    families = [NamedRecipes(denoiser, recipes=["ddim@5"]), HeadSets(denoiser, **options)]
    return Space(denoiser, families, baseline("ddim@5", denoiser))


def family_of(space: Space) -> HeadSets:
    return next(f for f in space.families if isinstance(f, HeadSets))


def heads_of(genome) -> list[str]:
    return genome["genes"]["heads"]["heads"]


def check_inside(space: Space, genome) -> None:
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    family = family_of(space)
    genes, count = genome["genes"]["heads"], len(genome["steps"])
    assert len(genes["heads"]) <= family.limit
    places = [family.elements().index(name) for name in genes["heads"]]
    assert places == sorted(set(places))
    inside = range(round(genes["first"] * count), round(genes["last"] * count))
    for i, step in enumerate(genome["steps"]):
        rules = step.get("guidance", [])
        assert len(rules) == (i in inside and bool(genes["heads"]))
        for rule in rules:
            named = [f"{site}:{head}" for site, own in rule["heads"].items() for head in own]
            assert named == genes["heads"]
            assert rule["scale"] == pytest.approx(genes["scale"])
            assert rule.get("strength", 1) == genes["strength"]
    again = space.encode(space.decode(genome))
    assert again is not None
    assert space.plan(again) == space.plan(genome)


def test_by_default_all_but_the_heads_is_as_published(attentive):
    space = make(attentive)
    rng = np.random.default_rng(0)
    for _ in range(20):
        genes = space.mutate(space.sample(rng), rng)["genes"]["heads"]
        del genes["heads"]
        assert genes == {"scale": 3, "strength": 1, "first": 0, "last": 1}


def test_operators_stay_inside_and_move(attentive):
    space = make(attentive, scale=[0.2, 2], strength=[0.3, 1], first=[0, 1], last=[0, 1], most=9)
    rng = np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(100)]
    assert len({space.plan(genome).identity for genome in found}) >= 80
    moved = 0
    for genome in found:
        mutant = space.mutate(genome, rng)
        moved += space.plan(mutant).identity != space.plan(genome).identity
        other = found[int(rng.integers(100))]
        before = json.dumps([genome, other])
        child = space.crossover(genome, other, rng)
        assert json.dumps([genome, other]) == before
        for one in (genome, mutant, child):
            check_inside(space, one)
    assert moved >= 95
    sizes = [len(heads_of(genome)) for genome in found]
    assert min(sizes) == 1
    assert max(sizes) >= 7


def test_children_keep_what_both_parents_have(attentive):
    space = make(attentive)
    rng = np.random.default_rng(1)
    family = family_of(space)
    a, b = space.origin(), space.origin()
    family.choose(a, frozenset(["block.1.attn:0", "block.2.attn:1", "block.3.attn:2"]))
    family.choose(b, frozenset(["block.1.attn:0", "block.9.attn:1"]))
    found = set()
    for _ in range(40):
        child = space.repair(a)
        family.recombine(child, b, rng)
        mixed = frozenset(heads_of(child))
        assert "block.1.attn:0" in mixed
        assert mixed <= {*heads_of(a), *heads_of(b)}
        found.add(mixed)
    assert len(found) == 8


def test_the_empty_set_is_the_plain_recipe(attentive):
    space = make(attentive)
    plain = baseline("ddim@5", attentive)
    encoded = space.encode(plain)
    assert heads_of(encoded) == []
    assert space.decode(encoded).steps == plain.steps
    sets = element_sets(space)
    assert sets.with_elements(frozenset()) == encoded == space.origin()


def test_a_layer_is_all_of_its_heads(attentive):
    space = make(attentive, scale=[0.5, 1], strength=[0.5, 1])
    data = baseline("ddim@5", attentive).to_dict()
    for step in data["steps"]:
        rule = {"rule": "pag", "scale": 0.7, "strength": 0.6, "heads": {"block.2.attn": "all"}}
        step["guidance"] = rule
    genome = space.encode(Recipe.from_dict(data))
    assert heads_of(genome) == [f"block.2.attn:{i}" for i in range(3)]
    assert genome["genes"]["heads"]["strength"] == 0.6


def test_elements_are_what_may_be_chosen(attentive):
    assert len(family_of(make(attentive)).elements()) == 36
    space = make(attentive, heads=["block.11.attn", "block.2.attn:1", "block.2.attn:0"])
    assert family_of(space).elements() == [
        *(f"block.2.attn:{i}" for i in range(2)),
        *(f"block.11.attn:{i}" for i in range(3)),
    ]
    sets = element_sets(space)
    genome = sets.with_elements(frozenset(["block.11.attn:2", "block.2.attn:1"]))
    assert heads_of(genome) == ["block.2.attn:1", "block.11.attn:2"]
    check_inside(space, genome)
    # Each head is a plan of its own, and costs one more forward a step.
    plans = [space.plan(sets.with_elements(frozenset([e]))) for e in sets.elements()]
    assert len({plan.identity for plan in plans}) == 5
    assert {plan.forwards for plan in plans} == {10}


def test_algorithms_find_the_sets_of_a_family(attentive, spaces):
    space = make(attentive, heads=["block.0.attn"])
    assert isinstance(family_of(space), ElementFamily)
    algorithm = Greedy(space, objectives=1, start=["block.0.attn:1"])
    rng = np.random.default_rng(0)
    assert heads_of(algorithm.ask(rng, [])) == ["block.0.attn:1"]
    without = Space(attentive, [Timesteps(attentive)], baseline("ddim@5", attentive))
    assert element_sets(without) is None
    with pytest.raises(UserError, match="the space has none; use nsga2"):
        Greedy(without, objectives=1)


def searched(algorithm, loss, budget: int) -> list[str]:
    """The heads of the best of so many candidates."""
    best, told = (float("inf"), None), set()
    for k in range(10 * budget):
        genome = algorithm.ask(np.random.default_rng(k), [])
        if genome is None or len(told) == budget:
            break
        identity = algorithm.space.plan(genome).identity
        if identity not in told:
            told.add(identity)
            value = loss(heads_of(genome))
            best = min(best, (value, heads_of(genome)), key=lambda one: one[0])
            algorithm.tell([Result(k, genome, (value, 0.0))], [])
    return best[1]


def test_greedy_and_evolution_search_the_same_sets(attentive):
    """Four heads help, all others harm; both find the four, or nearly so."""
    space = make(attentive, heads=[f"block.{i}.attn" for i in range(4)])
    good = {"block.0.attn:1", "block.2.attn:0", "block.2.attn:2", "block.3.attn:1"}

    def loss(heads: list[str]) -> float:
        return len(set(heads) - good) - len(set(heads) & good)

    greedy = searched(Greedy(space, objectives=2, top_k=2, iterations=2), loss, 40)
    assert set(greedy) == good
    evolved = searched(NSGA2(space, objectives=2, population=12), loss, 150)
    assert loss(evolved) <= -3


def test_the_box_is_a_few_numbers(attentive):
    family = HeadSets(attentive, scale=[1, 4])
    assert [p.name for p in family.box()] == ["layer", "layers", "each", "scale"]
    genome = {"steps": [{"time": 1}]}
    family.from_box(genome, {"layer": 10, "layers": 5, "each": 2, "scale": 2.0})
    assert heads_of(genome) == [f"block.{i}.attn:{j}" for i in (10, 11) for j in (0, 1)]
    assert genome["genes"]["heads"]["scale"] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": ["block.12.attn:0"]}, "space.heads.heads: unknown head 'block.12.attn:0'; did"),
        ({"heads": ["block.1.attn:3"]}, "unknown head 'block.1.attn:3'; did you mean 'block"),
        ({"heads": []}, "space.heads.heads: the list is empty"),
        ({"most": 0}, "space.heads.most: 0 is too few; use at least 1"),
        ({"scale": [2, 1]}, "space.heads.scale: .*in order from 0 to 100"),
        ({"strength": [0, 1.5]}, "space.heads.strength: .*from 0 to 1, got"),
        ({"first": [0.9, 1], "last": [0, 0.5]}, "the interval ends before it starts; raise last"),
    ],
)
def test_impossible_settings_are_refused(attentive, settings, message):
    with pytest.raises(UserError, match=message):
        make(attentive, **settings)


def test_models_without_heads_are_refused(spaces):
    with pytest.raises(UserError, match=r"^space.heads: it needs a model with attention heads"):
        HeadSets(spaces("linear").denoiser)
