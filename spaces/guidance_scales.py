"""Guidance whose scale changes over the steps: a value for each of a few pieces, or each step."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter, Rng
from autosearch.spaces.guidance_rules import (
    CFGPP,
    DIGITS,
    Genes,
    GuidanceFamily,
    RuleChoice,
    checked_range,
)

__all__ = ["GuidanceScales"]

_LARGEST = 100.0
_MOST_PIECES = 64
# A piece is left out of the guidance at this share of random genomes, and of its axis in the box.
_OFF = 0.25


class GuidanceScales(GuidanceFamily):
    """One rule with a scale for each piece of the trajectory, or none there.

    Generalises the limited interval: any piece may be unguided, which costs nothing. Step i of K
    is in piece ``i * pieces // K``; with as many pieces as steps, each step has its own.

    Args:
        pieces: how many.
        scale: the least and the largest scale, in the unit of ``cfg``.
        rules, layer, strength, weaker, temperature, discount: see
            :class:`autosearch.spaces.guidance.GuidanceChoice`.

    Raises:
        UserError: for rules that the model cannot do, and impossible settings.
    """

    name = "guidance-scales"
    summary = "a rule of guidance with a scale for each piece of the steps"
    odds = 0.5

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        pieces: int = 4,
        scale: Sequence[float] = (1.0, 8.0),
        rules: Sequence[str] = ("cfg",),
        layer: Sequence[str] | None = None,
        strength: Sequence[float] = (1.0, 1.0),
        weaker: Sequence[str] | None = None,
        temperature: Sequence[float] = (0.25, 2.0),
        discount: Sequence[float] = (0.5, 1.0),
    ) -> None:
        super().__init__(denoiser)
        where = f"space.{self.name}"
        if not 1 <= pieces <= _MOST_PIECES:
            raise UserError(f"{where}.pieces: expected 1 to {_MOST_PIECES}, got {pieces}")
        self.pieces = pieces
        self.choice = RuleChoice(
            denoiser,
            rules,
            ranges={"strength": strength, "temperature": temperature, "discount": discount},
            choices={"layer": layer, "weaker": weaker},
            where=where,
        )
        self.rules = self.choice.rules
        largest = CFGPP if "cfgpp" in self.rules else _LARGEST
        self.scale = checked_range("scale", scale, largest, where=where)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        scales = [self._drawn(rng) for _ in range(self.pieces)]
        self._write(genome, {**self.choice.draw(rng), "scales": scales})

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """Another rule or what it has; or one piece: on or off, nearer to a neighbour, a factor."""
        genes = self._genes(genome)
        if not self.choice.changed(genes, rng):
            scales = list(genes["scales"])
            place = int(rng.integers(self.pieces))
            scales[place] = self._moved(scales, place, rng)
            genes["scales"] = scales
        self._write(genome, genes)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """The scales of one parent before some piece, of the other from it on; the rest mixed."""
        mine, theirs = self._genes(child), self._genes(other)
        mixed = {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine}
        cut = int(rng.integers(self.pieces + 1))
        mixed["scales"] = [*mine["scales"][:cut], *theirs["scales"][cut:]]
        self._write(child, mixed)

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._genes(genome))

    def encodes(self, genome: Genome) -> bool:
        written = self._per_step(self._clipped(self._genes(genome)), len(genome["steps"]))
        return written == self.shown(genome)

    def box(self) -> Sequence[Parameter]:
        """The rule and what only it has; for each piece a level, whose first quarter is off."""
        levels = (Parameter(f"level.{i}", "float") for i in range(self.pieces))
        return (*self.choice.parameters(), *levels)

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        low, high = self.scale
        levels = [(float(values[f"level.{i}"]) - _OFF) / (1 - _OFF) for i in range(self.pieces)]
        scales = [low + level * (high - low) if level >= 0 else None for level in levels]
        self._write(genome, {**self.choice.at(values), "scales": scales})

    def _drawn(self, rng: Rng) -> float | None:
        drawn = float(rng.uniform(*self.scale))
        return None if rng.random() < _OFF else drawn

    def _moved(self, scales: Sequence[float | None], place: int, rng: Rng) -> float | None:
        now = scales[place]
        kind = rng.random()
        if now is None or kind < 0.2:
            return self._drawn(rng) if now is None else None
        if kind < 0.4 and self.pieces > 1:
            side = 1 if place == 0 or (place < self.pieces - 1 and rng.random() < 0.5) else -1
            return scales[place + side]
        return now * float(rng.lognormal(0.0, 0.3))

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        self.write(genome, self._per_step(genes, len(genome["steps"])))

    def _per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        scales = (genes["scales"][i * self.pieces // count] for i in range(count))
        return [[] if scale is None else [self.choice.written(genes, scale)] for scale in scales]

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        shown = self.shown(genome)
        scales: list[float | None] = [None] * self.pieces
        genes = self.choice.default()
        for i, rules in reversed(list(enumerate(shown))):
            genes, scale = self.choice.read(rules[0]) if rules else (genes, None)
            scales[i * self.pieces // len(shown)] = scale
        return {**genes, "scales": scales}

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits."""
        low, high = self.scale
        scales = [
            None if scale is None else round(min(max(float(scale), low), high), DIGITS)
            for scale in genes["scales"]
        ]
        return {**self.choice.clipped(genes), "scales": scales}
