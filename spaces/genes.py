"""Typed genes: a few numbers and choices beside a genome's steps that decide fields of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.spaces.base import Family, Genome, Parameter

__all__ = ["Gene", "GeneFamily", "Genes", "OneOf", "Real", "Whole"]

Genes = dict[str, Any]


class Gene(ABC):
    """What one gene may be."""

    @property
    def varies(self) -> bool:
        """Whether there is more than one value."""
        return True

    @abstractmethod
    def draw(self, rng: Rng) -> Any:
        """A random value."""

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
    """A whole number from ``low`` to ``high``, both included."""

    low: int
    high: int

    @property
    def varies(self) -> bool:
        return self.low < self.high

    def draw(self, rng: Rng) -> int:
        return int(rng.integers(self.low, self.high + 1))

    def clip(self, value: Any) -> int:
        return min(max(int(value), self.low), self.high)

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "int", self.low, self.high)


@dataclass(frozen=True)
class Real(Gene):
    """A real number from ``low`` to ``high``, kept with a few decimal ``digits``."""

    low: float
    high: float
    digits: int = 3

    @property
    def varies(self) -> bool:
        return self.low < self.high

    def draw(self, rng: Rng) -> float:
        return float(rng.uniform(self.low, self.high))

    def clip(self, value: Any) -> float:
        return round(min(max(float(value), self.low), self.high), self.digits)

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "float", self.low, self.high)


@dataclass(frozen=True)
class OneOf(Gene):
    """One of a few values; the first stands for all others."""

    values: Sequence[Any]

    @property
    def varies(self) -> bool:
        return len(self.values) > 1

    def draw(self, rng: Rng) -> Any:
        return self.values[int(rng.integers(len(self.values)))]

    def clip(self, value: Any) -> Any:
        return self.values[self.values.index(value) if value in self.values else 0]

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "choice", choices=tuple(self.values))


class GeneFamily(Family):
    """A family whose choices are a few genes, from which its fields of all steps follow.

    The genes stand beside a genome's steps, under ``genes``. A subclass says what each may be, how
    a mutation changes them, which values of the steps' fields they give, and which genes the steps
    of a genome show that brings none.

    Attributes:
        ranges: what each gene may be, in the order in which genomes keep them.
    """

    ranges: Mapping[str, Gene]

    @abstractmethod
    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """Change a genome's genes a little, in place."""

    @abstractmethod
    def per_step(self, genes: Genes, count: int) -> Sequence[Any]:
        """What genes give each of ``count`` steps; something empty for nothing."""

    @abstractmethod
    def read_genes(self, genome: Genome) -> Genes:
        """The genes that the steps of a genome show."""

    def draw(self, rng: Rng) -> Genes:
        """Random genes."""
        return {name: gene.draw(rng) for name, gene in self.ranges.items()}

    def clip(self, genes: Genes) -> Genes:
        """The nearest genes inside the settings; of those that are missing, the default."""
        return {name: gene.clip(genes.get(name, 1.0)) for name, gene in self.ranges.items()}

    def default(self) -> Genes:
        """The first of each choice; of each number the nearest to 1."""
        return {name: gene.clip(1.0) for name, gene in self.ranges.items()}

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        """Each gene from either parent."""
        return {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine}

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
        genes = self.ranges.items()
        return tuple(g.parameter(n) for n, g in genes if g.varies or not isinstance(g, OneOf))

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        self.write(genome, self.arrange(self.point(values)))
