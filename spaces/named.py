"""Named recipes: a choice among published ways to sample, taken as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.recipe import Step
from autosearch.recipe.schema import owned_fields
from autosearch.spaces.base import Family, Genome, Parameter, clone

__all__ = ["NamedRecipes"]

_TIMES = tuple(owned_fields(Step, "times"))
_SOLVER = tuple(owned_fields(Step, "solver"))
# The odds of a family that has nothing to choose: operators go to the others.
_NEVER = 1e-9


@dataclass(kw_only=True, eq=False)
class NamedRecipes(Family):
    """Times and solver of one of some named recipes, for searches over what goes with them.

    Args:
        recipes: as baselines are named, such as ``dpmpp_2m-quadratic@5``.
        solver: whether the recipes' solvers come along; without, only their times do, and the
            family ``solver`` may choose among solvers.

    Raises:
        UserError: for none, an unknown one, or one that the model cannot run.
    """

    name = "named"
    summary = "times and solver of one of some named recipes"
    fields = (*_TIMES, *_SOLVER)
    odds = 0.3
    owns_length = True

    recipes: Sequence[str]
    solver: bool = True

    def __post_init__(self) -> None:
        if not self.solver:
            self.fields = _TIMES
        if not self.recipes:
            raise UserError("space.named.recipes: name at least one, such as dpmpp_2m@8")
        self._known = {name: self._fragment(name) for name in self.recipes}
        self._names = sorted(self._known, key=lambda name: len(self._known[name]["steps"]))
        lengths = [len(fragment["steps"]) for fragment in self._known.values()]
        self.steps = (min(lengths), max(lengths))
        if len(self._names) == 1:
            self.odds = _NEVER

    def randomize(self, genome: Genome, rng: Rng) -> None:
        self._write(genome, str(rng.choice(self._names)))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """A neighbour by number of steps, or any."""
        if len(self._names) == 1:
            return
        place = self._names.index(self._name(genome))
        others = [i for i in (place - 1, place + 1) if 0 <= i < len(self._names)]
        if rng.random() < 0.3:
            others = [i for i in range(len(self._names)) if i != place]
        self._write(genome, self._names[int(rng.choice(others))])

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """The other parent's recipe."""
        self._write(child, self._name(other))

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._name(genome))

    def encodes(self, genome: Genome) -> bool:
        return self._match(genome) is not None

    def box(self) -> Sequence[Parameter]:
        """Which one, by number of steps."""
        return (Parameter("recipe", "choice", choices=tuple(self._names)),)

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self._write(genome, str(values["recipe"]))

    def _fragment(self, name: str) -> Genome:
        try:
            data = baseline(name, self.denoiser).to_dict()
        except UserError as error:
            raise UserError(f"space.named.recipes: {error}") from None
        start = {"scale": "unit", **data.get("start", {})}
        return {"start": start, "steps": data["steps"], "end": data.get("end", "clean")}

    def _name(self, genome: Genome) -> str:
        """The genome's recipe: the one that it names, else shows, else the first."""
        known = (self.genes(genome) or {}).get("recipe")
        if known in self._known:
            return str(known)
        return self._match(genome) or self._names[0]

    def _match(self, genome: Genome) -> str | None:
        """The recipe whose times and solver a genome has."""
        mine = [self._own(step) for step in genome["steps"]]
        for name, fragment in self._known.items():
            ends = all(genome[key] == fragment[key] for key in ("start", "end"))
            if ends and mine == [self._own(step) for step in fragment["steps"]]:
                return name
        return None

    def _own(self, step: Mapping[str, Any]) -> dict[str, Any]:
        return {field: step[field] for field in self.fields if field in step}

    def _write(self, genome: Genome, name: str) -> None:
        """The recipe's own fields; what other families wrote stays with the number of its step."""
        fragment = clone(self._known[name])
        before = genome["steps"]
        others = [
            {key: value for key, value in step.items() if key not in self.fields}
            for step in before[: len(fragment["steps"])]
        ]
        others += [{} for _ in range(len(fragment["steps"]) - len(others))]
        own = [self._own(step) for step in fragment["steps"]]
        steps = [{**mine, **other} for mine, other in zip(own, others, strict=True)]
        genome |= {"start": fragment["start"], "steps": steps, "end": fragment["end"]}
        self.set_genes(genome, {"recipe": name})
