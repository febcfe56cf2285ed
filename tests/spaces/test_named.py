"""Named recipes as a choice."""

import json

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.spaces import GuidanceChoice, NamedRecipes, SolverChoice, Space

NAMES = ["dpmpp_2m-quadratic@5", "ddim@3", "unipc@8"]


def make(denoiser, names=NAMES) -> Space:
    families = [GuidanceChoice(denoiser, rules=["cfg"]), NamedRecipes(denoiser, recipes=names)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


def test_each_is_encoded_as_it_is_and_nothing_else(attentive):
    space = make(attentive)
    for name in NAMES:
        genome = space.encode(baseline(name, attentive))
        assert genome["genes"]["named"] == {"recipe": name}
        assert space.decode(genome).steps == baseline(name, attentive).steps
        assert space.repair(genome) == genome
    assert space.encode(baseline("ddim@4", attentive)) is None
    assert space.families[0].steps == (3, 8)


def test_operators_keep_to_the_names(attentive):
    space = make(attentive)
    rng = np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(20)]
    found += [space.mutate(genome, rng) for genome in found]
    found += [space.crossover(a, b, rng) for a, b in zip(found, found[::-1], strict=True)]
    known = {name: baseline(name, attentive) for name in NAMES}
    for genome in found:
        assert json.loads(json.dumps(genome)) == genome
        recipe = known[genome["genes"]["named"]["recipe"]]
        plain = [step.model_copy(update={"guidance": []}) for step in space.decode(genome).steps]
        assert plain == recipe.steps
    assert {genome["genes"]["named"]["recipe"] for genome in found} == set(NAMES)


def test_guidance_follows_the_length(attentive):
    space = make(attentive)
    guided = space.from_box(
        {"named.recipe": "unipc@8", "guidance.scale": 3, "guidance.first": 0.5, "guidance.last": 1}
    )
    assert [bool(step.get("guidance")) for step in guided["steps"]] == [False] * 4 + [True] * 4
    guided["genes"]["named"]["recipe"] = "dpmpp_2m-quadratic@5"
    shorter = space.repair(guided)
    assert [bool(step.get("guidance")) for step in shorter["steps"]] == [False] * 2 + [True] * 3


def test_one_alone_stays(attentive):
    space = Space(
        attentive,
        [NamedRecipes(attentive, recipes=["ddim@4"]), GuidanceChoice(attentive)],
        baseline("ddim@10", attentive),
    )
    assert space.decode(space.origin()).steps == baseline("ddim@4", attentive).steps
    assert space.box()[0].choices == ("ddim@4",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "space.named.recipes: name at least one"),
        (["dimm@5"], "space.named.recipes: unknown .*'dimm'; did you mean 'ddim'"),
        (["ddim"], "space.named.recipes: "),
    ],
)
def test_impossible_names_are_refused(attentive, names, message):
    with pytest.raises(UserError, match=message):
        make(attentive, names)


def test_times_alone_leave_the_solver_to_its_family(attentive):
    times = NamedRecipes(attentive, recipes=["dpmpp_2m-quadratic@5"], solver=False)
    space = Space(attentive, [times, SolverChoice(attentive)], baseline("ddim@10", attentive))
    for name in ("dpmpp_2m-quadratic@5", "ddim-quadratic@5"):
        recipe = baseline(name, attentive)
        assert space.decode(space.encode(recipe)).steps == recipe.steps
    assert space.encode(baseline("ddim@5", attentive)) is None
