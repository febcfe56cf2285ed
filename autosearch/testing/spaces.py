"""What every family of a space owes, as a class of tests to inherit."""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from autosearch import spaces
from autosearch._typing import Rng
from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.models.spec import ModelSpec
from autosearch.registry import construct
from autosearch.spaces.base import Family, Genome, clone
from autosearch.spaces.product import MAX_BOX, Space, fragment

__all__ = ["SpaceContract"]

_SMALL = {"name": "mixture", "dimension": 2, "components": 2}
# What a genome has besides its steps that any family may have to touch.
_SHARED = {"genes", "artifacts"}


class SpaceContract:
    """Inherit it in a test file, say what to make, and pytest runs the tests below.

    Attributes:
        make: called with a denoiser; a family's class, or one with settings of its own by
            ``functools.partial``.
        model: what its recipes are for, as an experiment writes it.
        beside: the families that it is multiplied with, as an experiment writes them; those that
            own the number of steps are left out where the family itself does.
        base: the recipe that all others are built on.
        genomes: how many are made and changed.
        reads: whether every recipe of the space is recognised as one by its steps alone.
        distinct: the least share of random genomes whose plans differ.
        changed: the least share of mutants whose plans differ from their parents'.
    """

    make: ClassVar[Callable[..., Family]]
    model: ClassVar[Mapping[str, Any]] = _SMALL
    beside: ClassVar[Mapping[str, Any]] = {"timesteps": {"steps": [3, 6]}}
    base: ClassVar[str] = "ddim@10"
    genomes: ClassVar[int] = 30
    reads: ClassVar[bool] = True
    distinct: ClassVar[float] = 0.8
    changed: ClassVar[float] = 0.95

    def test_it_has_a_name_and_a_summary_of_one_line(self) -> None:
        family = self.make_family()
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", family.name), f"name {family.name!r} is no name"
        assert family.summary.strip(), "the summary is empty"
        assert "\n" not in family.summary, "the summary has more than one line"
        assert family.fields, "it owns no field"
        assert (family.steps is not None) == family.owns_length, (
            "who owns the number of steps says how many there may be, and nobody else does"
        )

    def test_what_operators_make_is_inside(self) -> None:
        for space in self.make_spaces():
            for genome in self.walk(space, _rng(0)):
                self.check_inside(space, genome)

    def test_operators_leave_their_arguments_alone(self) -> None:
        rng = _rng(1)
        for space in self.make_spaces():
            a, b = space.sample(rng), space.sample(rng)
            before = json.dumps([a, b])
            for _ in range(self.genomes // 3):
                space.mutate(a, rng)
                space.crossover(a, b, rng)
                space.repair(a)
            assert json.dumps([a, b]) == before, "an operator changes its argument"

    def test_equal_draws_give_equal_genomes(self) -> None:
        for first, second in zip(self.make_spaces(), self.make_spaces(), strict=True):
            runs = [json.dumps([*self.walk(space, _rng(2))]) for space in (first, second)]
            assert runs[0] == runs[1], "equal draws, other genomes: it draws from elsewhere"
            mutants = [
                [json.dumps(first.mutate(genome, _rng(k))) for k in range(5)]
                for genome in (json.loads(runs[0])[0], next(self.walk(first, _rng(2))))
            ]
            assert mutants[0] == mutants[1], "a genome that comes from a journal mutates otherwise"

    def test_it_changes_nothing_that_others_own(self) -> None:
        family = self.make_family()
        (space,) = self.make_spaces(family, alone=True)
        rng = _rng(3)
        untouched = fragment(baseline(self.base, space.denoiser))
        for genome in (untouched, *self.walk(space, rng)):
            other = space.sample(rng)
            for change in (
                lambda g: family.randomize(g, rng),
                lambda g: family.mutate(g, rng),
                lambda g, other=other: family.recombine(g, other, rng),
                family.repair,
            ):
                after = clone(genome)
                change(after)
                self.check_foreign(family, genome, after)

    def test_random_genomes_differ_and_mutants_move(self) -> None:
        """Random ones beside other families; mutants of the family alone."""
        (alone, *_), rng = self.make_spaces(), _rng(4)
        space, count = self.make_spaces()[-1], 2 * self.genomes
        plans = {space.plan(space.sample(rng)).identity for _ in range(count)}
        assert len(plans) >= self.distinct * count, f"of {count} random genomes {len(plans)} differ"
        drawn = [alone.sample(rng) for _ in range(count)]
        moved = sum(alone.plan(alone.mutate(g, rng)) != alone.plan(g) for g in drawn)
        assert moved >= self.changed * count, f"of {count} mutants only {moved} sample otherwise"

    def test_other_numbers_of_steps_are_repaired(self) -> None:
        """Other families, and operators of the product, add steps and take them away."""
        space, rng = self.make_spaces()[-1], _rng(5)
        for _ in range(self.genomes // 3):
            genome = space.sample(rng)
            steps = genome["steps"]
            for changed in (steps[: len(steps) // 2 + 1], steps[1:], [*steps, steps[-1]]):
                self.check_inside(space, space.repair({**genome, "steps": changed}))

    def test_every_point_of_its_box_is_a_recipe(self) -> None:
        """Points of a box decode whatever they are; a family without a box of its own passes."""
        family = self.make_family()
        boxed = [space for space in self.make_spaces(family) if _dimensions(space) <= MAX_BOX]
        if not family.box() or not boxed:
            return
        for space in boxed:
            box = space.box()
            assert len({parameter.name for parameter in box}) == len(box), "names that stand twice"
            unit = UnitBox(box)
            places = [np.zeros(unit.dimension), np.ones(unit.dimension)]
            places += list(_rng(6).random((self.genomes, unit.dimension)))
            plans = set()
            for place in places:
                point = unit.point(place)
                genome = space.from_box(point)
                self.check_inside(space, genome)
                assert space.from_box(point) == genome, "a point decodes to two genomes"
                plans.add(space.plan(genome).identity)
            enough = self.distinct / 2 * len(places)
            assert len(plans) >= enough, f"of {len(places)} points only {len(plans)} differ"

    def test_what_it_makes_is_found_in_its_recipe(self) -> None:
        for space in self.make_spaces():
            for genome in self.walk(space, _rng(7)):
                found = space.encode(space.decode(genome))
                assert found is not None or not self.reads, "a recipe of the space is not in it"
                assert found is None or space.plan(found) == space.plan(genome), (
                    "the genome of a recipe is another recipe"
                )

    def make_denoiser(self) -> Denoiser:
        """The model that recipes are for; the same for all tests."""
        return _denoiser(json.dumps(self.model))

    def make_family(self) -> Family:
        """A new family."""
        # From the class, so that a function is not taken for a method.
        return type(self).make(self.make_denoiser())

    def make_spaces(self, family: Family | None = None, *, alone: bool = False) -> list[Space]:
        """The family's own space, and (not ``alone``) its product with the ones beside it."""
        denoiser = self.make_denoiser()
        made: list[Space] = []
        for names in ((), () if alone else tuple(self.beside)):
            own = self.make_family() if family is None else family
            others = [
                construct(
                    spaces.find(name), self.beside[name] or {}, denoiser, where=f"space.{name}"
                )
                for name in names
            ]
            kept = [one for one in others if not (one.owns_length and own.owns_length)]
            if kept or not made:
                made.append(Space(denoiser, [*kept, own], baseline(self.base, denoiser)))
        return made

    def walk(self, space: Space, rng: Rng) -> Iterator[Genome]:
        """Genomes as a search meets them: sampled, mutated, crossed."""
        found = [space.sample(rng), space.sample(rng)]
        yield from found
        while len(found) < self.genomes:
            a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
            child = space.mutate(a, rng) if rng.random() < 0.5 else space.crossover(a, b, rng)
            found.append(child)
            yield child

    def check_inside(self, space: Space, genome: Genome) -> None:
        """Plain data that stands as it is, and whose recipe the plan is."""
        text = json.dumps(genome, allow_nan=False)
        assert json.loads(text) == genome, "a genome that JSON does not keep"
        assert space.repair(genome) == genome, "repair changes what operators made"
        recipe = space.decode(genome)
        assert "genes" not in recipe.to_dict(), "genes in a recipe"
        plan = space.plan(genome)
        assert plan.steps, "a plan without steps"
        assert plan == compile_recipe(recipe, space.denoiser), "the recipe has another plan"
        family = next((one for one in space.families if one.owns_length), None)
        if family is not None and family.steps is not None:
            low, high = family.steps
            assert low <= len(genome["steps"]) <= high, "more or fewer steps than the space has"

    def check_foreign(self, family: Family, before: Genome, after: Genome) -> None:
        """Nothing differs but what the family owns."""
        own = {*family.fields, *_SHARED}
        genes = [genome.get("genes", {}) for genome in (before, after)]
        for name in (set(genes[0]) | set(genes[1])) - {family.name}:
            assert genes[0].get(name) == genes[1].get(name), f"it changes the genes of {name}"
        if family.owns_length:
            return
        for key in (set(before) | set(after)) - own - {"steps"}:
            assert before.get(key) == after.get(key), f"it changes {key!r}, which it does not own"
        assert len(before["steps"]) == len(after["steps"]), "it changes the number of steps"
        for one, other in zip(before["steps"], after["steps"], strict=True):
            for key in (set(one) | set(other)) - own:
                assert one.get(key) == other.get(key), f"it changes a step's {key!r}"


def _dimensions(space: Space) -> int:
    return sum(len(family.box()) for family in space.families)


@functools.cache
def _denoiser(model: str) -> Denoiser:
    settings = json.loads(model)
    return ModelSpec(settings.pop("name"), settings).load().denoiser


def _rng(*key: int) -> Rng:
    return np.random.default_rng([19, *key])
