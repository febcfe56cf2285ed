"""Typed genes: a few numbers and choices beside a genome's steps that decide fields of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.spaces.base import Family, Genome, Parameter

__all__ = ["Gene", "GeneFamily", "Genes", "Log", "OneOf", "Real", "Whole"]

Genes = dict[str, Any]


class Gene(ABC):
    """What one gene may be, and how it changes."""

    # What stands for the gene where nothing is known of it, before it is clipped.
    neutral: Any = 1.0

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return True

    @abstractmethod
    def draw(self, rng: Rng) -> Any:
        """A random value."""

    @abstractmethod
    def move(self, value: Any, rng: Rng) -> Any:
        """A value near another one, or another choice; perhaps outside, which clipping mends."""

    @abstractmethod
    def clip(self, value: Any) -> Any:
        """The nearest value."""

    @abstractmethod
    def parameter(self, name: str) -> Parameter:
        """The dimension of a box that stands for the gene."""

    def from_box(self, value: Any) -> Any:
        """The gene's value at a place of its dimension."""
        return value


@dataclass(frozen=True)
class Whole(Gene):
    """A whole number from ``low`` to ``high``, both included.

    Attributes:
        reach: how far a move goes at most, up or down.
        neutral: the number of a recipe that knows nothing of the gene.
    """

    low: int
    high: int
    reach: int = 2
    neutral: int = 1

    @property
    def varies(self) -> bool:
        return self.low < self.high

    def draw(self, rng: Rng) -> int:
        return int(rng.integers(self.low, self.high + 1))

    def move(self, value: Any, rng: Rng) -> int:
        return int(value) + int(rng.choice([*range(-self.reach, 0), *range(1, self.reach + 1)]))

    def clip(self, value: Any) -> int:
        return min(max(int(value), self.low), self.high)

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "int", self.low, self.high)


@dataclass(frozen=True)
class Real(Gene):
    """A real number from ``low`` to ``high``, kept with a few decimal ``digits``.

    Attributes:
        width: the standard deviation of a move; by default 0.15 of the range.
        factor: where it is not 0, a move multiplies instead, by a lognormal factor whose logarithm
            has this standard deviation.
        neutral: the number of a recipe that knows nothing of the gene.
    """

    low: float
    high: float
    digits: int = 3
    width: float | None = None
    factor: float = 0.0
    neutral: float = 1.0

    @property
    def varies(self) -> bool:
        return self.low < self.high

    def draw(self, rng: Rng) -> float:
        return float(rng.uniform(self.low, self.high))

    def move(self, value: Any, rng: Rng) -> float:
        if self.factor:
            return float(value) * float(rng.lognormal(0.0, self.factor))
        width = 0.15 * (self.high - self.low) if self.width is None else self.width
        return float(value) + width * float(rng.standard_normal())

    def clip(self, value: Any) -> float:
        return round(min(max(float(value), self.low), self.high), self.digits)

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "float", self.low, self.high)


@dataclass(frozen=True)
class Log(Gene):
    """A number above 0 on a logarithmic scale, kept with a few significant ``digits``.

    Draws are even in its logarithm, and the dimension of a box is the logarithm to base 10, under
    the name ``log_NAME``.

    Attributes:
        low: above 0.
        high: the other end.
        factor: the standard deviation of the natural logarithm of a move's factor.
        neutral: the number of a recipe that knows nothing of the gene.
    """

    low: float
    high: float
    digits: int = 4
    factor: float = 0.4
    neutral: float = 1.0

    @property
    def varies(self) -> bool:
        return self.low < self.high

    def draw(self, rng: Rng) -> float:
        return 10 ** float(rng.uniform(math.log10(self.low), math.log10(self.high)))

    def move(self, value: Any, rng: Rng) -> float:
        return float(value) * float(rng.lognormal(0.0, self.factor))

    def clip(self, value: Any) -> float:
        return float(f"{min(max(float(value), self.low), self.high):.{self.digits}g}")

    def parameter(self, name: str) -> Parameter:
        return Parameter(f"log_{name}", "float", math.log10(self.low), math.log10(self.high))

    def from_box(self, value: Any) -> float:
        return 10 ** float(value)


@dataclass(frozen=True)
class OneOf(Gene):
    """One of a few values; the first stands for all others.

    Attributes:
        values: what it may be.
        stays: whether a move draws among all of them, the present one too.
    """

    values: Sequence[Any]
    stays: bool = False

    @property
    def varies(self) -> bool:
        return len(self.values) > 1

    def draw(self, rng: Rng) -> Any:
        return self.values[int(rng.integers(len(self.values)))]

    def move(self, value: Any, rng: Rng) -> Any:
        others = self.values if self.stays else [one for one in self.values if one != value]
        return others[int(rng.integers(len(others)))] if others else value

    def clip(self, value: Any) -> Any:
        return self.values[self.values.index(value) if value in self.values else 0]

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "choice", choices=tuple(self.values))


class GeneFamily(Family):
    """A family whose choices are a few genes, from which its field of all steps follows.

    A subclass says what each gene may be (``ranges``) and what genes give each step
    (:meth:`per_step`). Where recipes that others wrote may lie in the space, it also says which
    genes they show (:meth:`read_genes`). All operators follow from these. The genes stand beside a
    genome's steps, under ``genes``; the field that they decide is the first of ``fields``.

    Attributes:
        ranges: what each gene may be, in the order in which genomes keep them.
    """

    ranges: Mapping[str, Gene]

    @abstractmethod
    def per_step(self, genes: Genes, count: int) -> Sequence[Any]:
        """What genes give the field of each of ``count`` steps; something empty for nothing."""

    def read_genes(self, genome: Genome) -> Genes:
        """The genes that the steps of a genome show; the default where a family reads none.

        A recipe lies in the space only if these genes give its steps.
        """
        return self.default()

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """Change a genome's genes a little, in place: one of those with a dimension moves."""
        self.move_one(self._dimensions, genes, rng)

    def draw(self, rng: Rng) -> Genes:
        """Random genes."""
        return {name: gene.draw(rng) for name, gene in self.ranges.items()}

    def clip(self, genes: Genes) -> Genes:
        """The nearest genes inside the settings; of those that are missing, the default."""
        return {n: gene.clip(genes.get(n, gene.neutral)) for n, gene in self.ranges.items()}

    def default(self) -> Genes:
        """The first of each choice; of each number the nearest to its neutral one."""
        return {name: gene.clip(gene.neutral) for name, gene in self.ranges.items()}

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        """Each gene from either parent."""
        return {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine}

    def move_one(self, names: Iterable[str], genes: Genes, rng: Rng) -> None:
        """Move one of some genes, in place."""
        name = str(rng.choice(list(names)))
        genes[name] = self.ranges[name].move(genes[name], rng)

    def point(self, values: Mapping[str, Any]) -> Genes:
        """The genes that are named at a point of the box."""
        keys = {name: gene.parameter(name).name for name, gene in self.ranges.items()}
        named = (name for name, key in keys.items() if key in values)
        return {name: self.ranges[name].from_box(values[keys[name]]) for name in named}

    def arrange(self, genes: Genes) -> Genes:
        """New genes as operators leave them; repairing does without."""
        return genes

    def read_steps(self, genome: Genome) -> Sequence[Any]:
        """What each step has of the family's field."""
        return [step.get(self.fields[0]) for step in genome["steps"]]

    def put(self, genome: Genome, values: Sequence[Any]) -> None:
        """Write the family's field of each step."""
        for step, value in zip(genome["steps"], values, strict=True):
            step.pop(self.fields[0], None)
            if value:
                step[self.fields[0]] = value

    def current(self, genome: Genome) -> Genes:
        """A copy of a genome's genes; those that its steps show where it brings none."""
        stored = self.genes(genome)
        return self.read_genes(genome) if stored is None else stored

    def write(self, genome: Genome, genes: Genes) -> None:
        """Clip genes, store them in a genome, and write what follows from them."""
        genes = self.clip(genes)
        self.set_genes(genome, genes)
        self.put(genome, self.per_step(genes, len(genome["steps"])))

    def randomize(self, genome: Genome, rng: Rng) -> None:
        self.write(genome, self.arrange(self.draw(rng)))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        genes = self.current(genome)
        self.change(genome, genes, rng)
        self.write(genome, self.arrange(genes))

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        mixed = self.mix(self.current(child), self.current(other), rng)
        self.write(child, self.arrange(mixed))

    def repair(self, genome: Genome) -> None:
        self.write(genome, self.current(genome))

    def encodes(self, genome: Genome) -> bool:
        expected = self.per_step(self.clip(self.current(genome)), len(genome["steps"]))
        shown = self.read_steps(genome)
        return [value or None for value in expected] == [value or None for value in shown]

    def box(self) -> Sequence[Parameter]:
        """A dimension for each gene, but for choices of one value."""
        return tuple(self.ranges[name].parameter(name) for name in self._dimensions)

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self.write(genome, self.arrange(self.point(values)))

    @property
    def _dimensions(self) -> list[str]:
        genes = self.ranges.items()
        return [name for name, gene in genes if gene.varies or not isinstance(gene, OneOf)]
