"""The product of any families: what a search varies, and how a genome becomes a recipe."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autosearch._typing import Array, Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.plan.recovery import WEIGHTS
from autosearch.errors import UserError
from autosearch.recipe import Recipe
from autosearch.recipe.document import recipe_data
from autosearch.spaces.base import Family, Genome, Parameter, clone

__all__ = ["MAX_BOX", "Space", "fragment"]

MAX_BOX = 16
_MUTATION_TRIES = 8
# Most single choices make no difference where they are, such as a form at order 1.
_VARY_TRIES = 24
# Plans kept, so that parents and what was just proposed are not compiled again and again.
_PLANS = 1024
# What a recipe says of all of its steps, where it says it.
_WHOLE = ("pruned", "artifacts", "recovery")


class Space:
    """A product of families over the recipes of one model.

    Args:
        denoiser: the model that recipes are for.
        families: at most one of them owns the number of steps.
        base: the recipe that gives every field that no family owns, and the steps where no
            family owns their number.

    Raises:
        UserError: when two families own the number of steps, or none does and the base does not
            run on the model.
    """

    def __init__(self, denoiser: Denoiser, families: Sequence[Family], base: Recipe) -> None:
        # The owner of the length comes first: the others fill in the steps that it makes.
        self.families = sorted(families, key=lambda family: not family.owns_length)
        owners = [family.name for family in families if family.owns_length]
        if len(owners) > 1:
            raise UserError(f"space: {' and '.join(owners)} both decide the number of steps")
        self.denoiser = denoiser
        self._base = fragment(base)
        self._model = model_key(denoiser).model_dump()
        self._owns_length = bool(owners)
        for family in families:
            family.join(families)
        if not owners:
            compile_recipe(base, denoiser)
        self._compiled = functools.lru_cache(_PLANS)(self._compile)

    def origin(self) -> Genome:
        """The base recipe, brought into the space."""
        return self.repair(self._base)

    def sample(self, rng: Rng) -> Genome:
        """A random genome."""
        genome = clone(self._base)
        for family in self.families:
            family.randomize(genome, rng)
        return self._inside(genome)

    def mutate(self, genome: Genome, rng: Rng) -> Genome:
        """A changed copy that samples differently, if one is found in a few tries."""
        own = self.plan(genome).identity
        child = genome
        for _ in range(_MUTATION_TRIES):
            child = self._mutate_once(genome, rng)
            # Most choices are inert somewhere, such as a prediction type at order 1.
            if self.plan(child).identity != own:
                break
        return child

    def _mutate_once(self, genome: Genome, rng: Rng) -> Genome:
        """Each family by its odds, at least one of them."""
        child = clone(genome)
        chosen = rng.random(len(self.families)) < [family.odds for family in self.families]
        chosen[self._one_family(rng)] = True
        for family, change in zip(self.families, chosen, strict=True):
            if change:
                family.mutate(child, rng)
        return self._inside(child)

    def _one_family(self, rng: Rng) -> int:
        odds = np.array([family.odds for family in self.families])
        return int(rng.choice(len(odds), p=odds / odds.sum()))

    def crossover(self, a: Genome, b: Genome, rng: Rng) -> Genome:
        """A child that keeps a prefix or some choices of ``a`` and takes others from ``b``."""
        child, other = clone(a), clone(b)
        which = self._one_family(rng)
        self.families[which].recombine(child, other, rng)
        return self._inside(child)

    def coordinates(self, genome: Genome) -> Array:
        """[D] numbers along which a genome may be moved a little; see :meth:`Family.coordinates`.

        The number of steps and every choice stay; empty where no family has such numbers.
        """
        return np.array([x for family in self.families for x in family.coordinates(genome)])

    def moved(self, genome: Genome, coordinates: Array) -> Genome:
        """A copy at other coordinates [D], every choice as it was."""
        child, left = clone(genome), coordinates.tolist()
        for family in self.families:
            count = len(family.coordinates(child))
            if count:
                family.place(child, left[:count])
            left = left[count:]
        return self._inside(child)

    def varied(self, genome: Genome, rng: Rng) -> Genome:
        """A copy with one choice drawn anew, its steps where they were.

        It samples differently if one that does is found in a few tries.
        """
        own, child = self.plan(genome).identity, genome
        choosing = [family for family in self.families if not family.owns_length]
        for _ in range(_VARY_TRIES if choosing else 0):
            child = clone(genome)
            choosing[int(rng.integers(len(choosing)))].vary(child, rng)
            child = self._inside(child)
            if self.plan(child).identity != own:
                break
        return child

    def resized(self, genome: Genome, count: int) -> Genome:
        """A copy of so many steps, as alike as may be; unchanged where no family owns them."""
        child = clone(genome)
        for family in self.families:
            family.resize(child, count)
        return self._inside(child)

    def repair(self, genome: Genome) -> Genome:
        """The nearest genome inside the space; idempotent."""
        return self._inside(clone(genome))

    def _inside(self, genome: Genome) -> Genome:
        """The same, of a genome of our own, which changes."""
        for family in self.families:
            family.repair(genome)
        return genome

    def encode(self, recipe: Recipe) -> Genome | None:
        """The genome whose plan is this recipe's, or None when the space lacks it."""
        genome = fragment(recipe)
        if not self._owns_length and len(genome["steps"]) != len(self._base["steps"]):
            return None
        if not all(family.encodes(genome) for family in self.families):
            return None
        repaired = self.repair(genome)
        if not self._only_owned_differ(repaired):
            return None
        same = self.plan(repaired).identity == compile_recipe(recipe, self.denoiser).identity
        return repaired if same else None

    def decode(self, genome: Genome) -> Recipe:
        """The recipe of a genome."""
        data = {**recipe_data(genome), "version": 1, "model": self._model}
        return Recipe.from_dict(data, where="genome")

    def plan(self, genome: Genome) -> Plan:
        """The plan of a genome; those of the last ones are kept."""
        return self._compiled(json.dumps(genome))

    def box(self) -> list[Parameter]:
        """All families' parameters, named ``family.parameter``.

        Raises:
            UserError: when a family has no box or there are more than 16 dimensions.
        """
        parameters = []
        for family in self.families:
            own = family.box()
            if not own:
                raise UserError(
                    f"space.{family.name} has no box; use an algorithm that works on genomes, "
                    "such as nsga2 or random"
                )
            parameters += [
                Parameter(f"{family.name}.{p.name}", p.kind, p.low, p.high, p.choices) for p in own
            ]
        if len(parameters) > MAX_BOX:
            raise UserError(
                f"space: a box of {len(parameters)} parameters; at most {MAX_BOX} are searched well"
            )
        return parameters

    def from_box(self, values: Mapping[str, Any]) -> Genome:
        """The genome of a point of the box."""
        genome = clone(self._base)
        for family in self.families:
            own = {p.name: values[f"{family.name}.{p.name}"] for p in family.box()}
            family.from_box(genome, own)
        return self._inside(genome)

    def _compile(self, text: str) -> Plan:
        return compile_recipe(self.decode(json.loads(text)), self.denoiser)

    def _only_owned_differ(self, genome: Genome) -> bool:
        """Whether fields that no family owns are those of the base."""
        owned = {field for family in self.families for field in family.fields}
        base = self._base["steps"]
        for i, step in enumerate(genome["steps"]):
            default = base[min(i, len(base) - 1)]
            for field in (set(step) | set(default)) - owned:
                if step.get(field) != default.get(field):
                    return False
        if any(genome.get(key) != self._base.get(key) for key in {"pruned", "recovery"} - owned):
            return False
        # Those of statistics stay with the steps that look at them.
        if _weights(genome) != _weights(self._base):
            return False
        return self._owns_length or all(genome[key] == self._base[key] for key in ("start", "end"))


def _weights(genome: Genome) -> object:
    return genome.get("artifacts", {}).get(WEIGHTS)


def fragment(recipe: Recipe) -> Genome:
    """Everything of a recipe but which model it is for, as plain data."""
    data = recipe.to_dict()
    more = {key: data[key] for key in _WHOLE if data.get(key)}
    return {
        "start": recipe.start.model_dump(),
        "steps": data["steps"],
        "end": data.get("end", "clean"),
        **more,
    }
