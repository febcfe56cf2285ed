"""What a space is: the part of a recipe that may vary, as a genome and as a box.

A genome is a fragment of a recipe in plain data, ``{"start", "steps": [...], "end"}`` and, where
sites are pruned, ``"pruned"``; families whose choices are fewer than what they write keep those
choices under ``"genes"``. Each family owns some of the fields of a step, and at most one family
owns the number of steps; so structural operators move whole steps and every other field stays with
its step.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from autosearch._typing import Rng
from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError

__all__ = [
    "Family",
    "Genome",
    "Parameter",
    "Rng",
    "StepGenome",
    "check_within",
    "checked_ends",
    "clone",
]

StepGenome = dict[str, Any]
Genome = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One dimension of a box.

    ``float`` and ``int`` run from ``low`` to ``high``, both included; ``choice`` over ``choices``.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 1.0
    choices: tuple[str, ...] = ()


def clone(genome: Genome) -> Genome:
    """A copy that shares nothing; of plain data, so much faster than ``copy.deepcopy``."""
    copied: Genome = _copy(genome)
    return copied


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_copy(inner) for inner in value]
    return value


def checked_ends(where: str, given: Any, least: float, most: float, *, whole: bool = False) -> Any:
    """The two ends of a setting that must be two numbers in order.

    Args:
        where: the place in the experiment, for the message.
        given: the setting.
        least: the smallest number that makes sense.
        most: the largest.
        whole: whether they must be whole.

    Raises:
        UserError: for anything else.
    """
    pair = tuple(given) if isinstance(given, list | tuple) else ()
    kinds = (int,) if whole else (int, float)
    numbers = len(pair) == 2 and all(type(value) in kinds for value in pair)
    if not numbers or not least <= pair[0] <= pair[1] <= most:
        raise UserError(
            f"{where}: expected [least, most], two {'whole ' if whole else ''}numbers in order "
            f"from {least:g} to {most:g}, got {given!r}"
        )
    return pair


def check_within(where: str, value: float, low: float, high: float, *, above: bool = False) -> None:
    """Refuse a number outside of two ends, the lower one among them unless it must be above it.

    Raises:
        UserError: naming the ends.
    """
    if not low <= value <= high or (above and value == low):
        raise UserError(
            f"{where}: {value:g} is outside {'above ' if above else ''}{low:g} to {high:g}"
        )


@dataclass(kw_only=True, eq=False)
class Family(ABC):
    """One family of choices, behind operators that change a genome in place.

    :class:`autosearch.spaces.Space` hands them a copy and repairs what they leave. A subclass that
    is such a dataclass too has its settings as fields.

    Attributes:
        name: what experiments call the family.
        summary: one line for lists.
        fields: the fields of a step that the family owns.
        odds: how likely a mutation of the whole genome changes this family.
        owns_length: whether the family owns the number of steps.
        steps: the least and the largest number of steps of a family that owns it.
        free_length: whether some family of the space owns the number of steps.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    owns_length: ClassVar[bool] = False
    fields: tuple[str, ...] = field(init=False, default=())
    odds: float = field(init=False, default=0.5)
    steps: tuple[int, int] | None = field(init=False, default=None)
    free_length: bool = field(init=False, default=False)

    denoiser: Denoiser = field(kw_only=False)

    def genes(self, genome: Genome) -> dict[str, Any] | None:
        """A copy of the family's own choices under ``genes``; None where there are none."""
        known = genome.get("genes", {}).get(self.name)
        return None if known is None else dict(known)

    def set_genes(self, genome: Genome, genes: Mapping[str, Any]) -> None:
        """Write the family's own choices under ``genes``, beside the other families'."""
        genome["genes"] = {**genome.get("genes", {}), self.name: dict(genes)}

    def join(self, families: Sequence["Family"]) -> None:
        """Learn which families the space holds, this one among them; called once.

        Raises:
            UserError: for families that cannot go together.
        """
        self.free_length = any(family.owns_length for family in families)

    @abstractmethod
    def randomize(self, genome: Genome, rng: Rng) -> None:
        """Draw the family's own fields anew."""

    @abstractmethod
    def mutate(self, genome: Genome, rng: Rng) -> None:
        """Change the family's own fields a little."""

    @abstractmethod
    def repair(self, genome: Genome) -> None:
        """Bring the family's own fields into the space; idempotent, deterministic."""

    @abstractmethod
    def encodes(self, genome: Genome) -> bool:
        """Whether the fields are inside the space as they stand."""

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Take over some of another parent's values, where both have such a step."""
        return

    def coordinates(self, genome: Genome) -> Sequence[float]:
        """Numbers of the family's own fields that a local search moves together; none by default.

        Any numbers are possible ones, and a small change of one is a small change of the recipe.
        """
        return ()

    def place(self, genome: Genome, coordinates: Sequence[float]) -> None:
        """Move the family's own fields to coordinates; inverts :meth:`coordinates`."""
        return

    def vary(self, genome: Genome, rng: Rng) -> None:
        """Draw one choice anew, of a step or of all, and leave the rest; by default a mutation."""
        self.mutate(genome, rng)

    def resize(self, genome: Genome, count: int) -> None:
        """Give a genome another number of steps, as alike as may be, where the family owns it."""
        return

    def box(self) -> Sequence[Parameter]:
        """The static, bounded parameters of the family; empty when it has no box."""
        return ()

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        """Set the family's own fields from a point of its box; total."""
        raise TypeError(f"{self.name} has no box")
