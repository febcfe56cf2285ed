"""A scale for each piece of the steps, or none there."""

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.spaces import GuidanceScales, Space, Timesteps


def make(denoiser, **options) -> Space:
    families = [Timesteps(denoiser), GuidanceScales(denoiser, **options)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


def scales_of(genome) -> list:
    return [rules[0]["scale"] if rules else None for rules in guidance_of(genome)]


def guidance_of(genome) -> list:
    return [step.get("guidance", []) for step in genome["steps"]]


def recipe_with(denoiser, scales) -> Recipe:
    data = baseline(f"ddim@{len(scales)}", denoiser).to_dict()
    for step, scale in zip(data["steps"], scales, strict=True):
        if scale is not None:
            step["guidance"] = {"rule": "cfg", "scale": scale}
    return Recipe.from_dict(data)


def test_pieces_follow_the_number_of_steps(attentive):
    space = make(attentive, pieces=4)
    genome = space.encode(recipe_with(attentive, [2, 2, None, None, 3, 3, 1.5, 1.5]))
    assert genome["genes"]["guidance-scales"] == {"rule": "cfg", "scales": [2, None, 3, 1.5]}
    shorter = {**genome, "steps": genome["steps"][:4]}
    assert scales_of(space.repair(shorter)) == [2, None, 3, 1.5]
    assert scales_of(space.repair({**genome, "steps": genome["steps"][:3]})) == [2, None, 3]


def test_with_as_many_pieces_as_steps_each_has_its_own(attentive):
    scales = [None, 1.2, 2.345, None, 8, 1]
    space = make(attentive, pieces=6)
    genome = space.encode(recipe_with(attentive, scales))
    assert scales_of(genome) == scales
    # Scale 1 changes nothing, so two steps are unguided and one guided by nothing.
    assert space.plan(genome).forwards == 6 + 3
    assert make(attentive, pieces=3).encode(recipe_with(attentive, scales)) is None
    assert space.encode(recipe_with(attentive, [9, *scales[1:]])) is None


def test_random_genomes_and_mutants_differ(attentive):
    space = make(attentive, pieces=4, scale=[1, 4])
    rng = np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(100)]
    assert len({space.plan(genome).identity for genome in found}) >= 80
    moved = 0
    for genome in found:
        mutant = space.mutate(genome, rng)
        moved += space.plan(mutant).identity != space.plan(genome).identity
        for scale in mutant["genes"]["guidance-scales"]["scales"]:
            assert scale is None or 1 <= scale <= 4
    assert moved >= 95
    off = [scale is None for genome in found for scale in scales_of(genome)]
    assert 0.15 < np.mean(off) < 0.35


def test_children_keep_a_beginning_of_one_parent(attentive):
    space = make(attentive, pieces=5)
    rng = np.random.default_rng(0)
    family = next(f for f in space.families if isinstance(f, GuidanceScales))
    a, b = (space.sample(rng) for _ in range(2))
    cuts = set()
    for _ in range(30):
        child = space.repair(a)
        family.recombine(child, b, rng)
        mine, theirs, mixed = (g["genes"]["guidance-scales"]["scales"] for g in (a, b, child))
        cuts |= {cut for cut in range(6) if mixed == [*mine[:cut], *theirs[cut:]]}
        assert any(mixed == [*mine[:cut], *theirs[cut:]] for cut in range(6))
    assert len(cuts) >= 4


def test_the_first_quarter_of_each_level_is_off(attentive):
    family = GuidanceScales(attentive, pieces=4, scale=[1, 4])
    assert [p.name for p in family.box()] == [f"level.{i}" for i in range(4)]
    genome = {"steps": [{"time": 1}] * 4}
    genome = {"steps": [{"time": 4 - i} for i in range(4)]}
    family.from_box(genome, {"level.0": 0, "level.1": 0.2499, "level.2": 0.25, "level.3": 1})
    assert scales_of(genome) == [None, None, 1, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pieces": 0}, "space.guidance-scales.pieces: 0 is outside 1 to 64"),
        ({"scale": [2, 1]}, "space.guidance-scales.scale: .*in order from 0"),
        ({"rules": ["pug"]}, "space.guidance-scales.rules: unknown rule 'pug'; did you mean 'pag'"),
    ],
)
def test_impossible_settings_are_refused(attentive, settings, message):
    with pytest.raises(UserError, match=message):
        make(attentive, **settings)


def test_unconditional_models_are_refused(spaces):
    with pytest.raises(UserError, match=r"^space.guidance-scales: rule 'cfg' needs a model that"):
        GuidanceScales(spaces("linear").denoiser)
