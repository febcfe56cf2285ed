"""Guidance whose scale changes over the steps: a value for each of a few pieces, or each step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.spaces.base import Genome, Parameter, check_within
from autosearch.spaces.genes import Genes
from autosearch.spaces.guidance_rules import RuleFamily

__all__ = ["GuidanceScales"]

_MOST_PIECES = 64
# A piece is left out of the guidance at this share of random genomes, and of its axis in the box.
_OFF = 0.25


@dataclass(kw_only=True, eq=False)
class GuidanceScales(RuleFamily):
    """One rule with a scale for each piece of the trajectory, or none there.

    Generalises the limited interval: any piece may be unguided, which costs nothing. Step i of K
    is in piece ``i * pieces // K``; with as many pieces as steps, each step has its own.

    Args:
        pieces: how many.

    The other settings are those of :class:`autosearch.spaces.guidance_rules.RuleFamily`.

    Raises:
        UserError: for rules that the model cannot do, and impossible settings.
    """

    name = "guidance-scales"
    summary = "a rule of guidance with a scale for each piece of the steps"
    odds = 0.5

    pieces: int = 4
    rules: Sequence[str] = ("cfg",)

    def __post_init__(self) -> None:
        check_within(f"space.{self.name}.pieces", self.pieces, 1, _MOST_PIECES)
        super().__post_init__()

    def draw(self, rng: Rng) -> Genes:
        scales = [self._draw_scale(rng) for _ in range(self.pieces)]
        return {**super().draw(rng), "scales": scales}

    def clip(self, genes: Genes) -> Genes:
        scales = [None if one is None else self.scales.clip(one) for one in genes["scales"]]
        return {**super().clip(genes), "scales": scales}

    def mix(self, mine: Genes, theirs: Genes, rng: Rng) -> Genes:
        """The scales of one parent before some piece, of the other from it on; the rest mixed."""
        mixed = super().mix(mine, theirs, rng)
        cut = int(rng.integers(self.pieces + 1))
        mixed["scales"] = [*mine["scales"][:cut], *theirs["scales"][cut:]]
        return mixed

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """Another rule or what it has; or one piece: on or off, nearer to a neighbour, a factor."""
        if not self.change_rule(genes, rng):
            scales = list(genes["scales"])
            place = int(rng.integers(self.pieces))
            scales[place] = self._change_scale(scales, place, rng)
            genes["scales"] = scales

    def per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        scales = (genes["scales"][i * self.pieces // count] for i in range(count))
        return [[] if scale is None else [self.to_rule(genes, scale)] for scale in scales]

    def read_genes(self, genome: Genome) -> Genes:
        shown = self.read_steps(genome)
        scales: list[float | None] = [None] * self.pieces
        genes = self.default()
        for i, rules in reversed(list(enumerate(shown))):
            genes, scale = self.from_rule(rules[0]) if rules else (genes, None)
            scales[i * self.pieces // len(shown)] = scale
        return {**genes, "scales": scales}

    def box(self) -> Sequence[Parameter]:
        """The rule and what only it has; for each piece a level, whose first quarter is off."""
        levels = (Parameter(f"level.{i}", "float") for i in range(self.pieces))
        return (*super().box(), *levels)

    def point(self, values: Mapping[str, Any]) -> Genes:
        low, high = self.scales.low, self.scales.high
        levels = [(float(values[f"level.{i}"]) - _OFF) / (1 - _OFF) for i in range(self.pieces)]
        scales = [low + level * (high - low) if level >= 0 else None for level in levels]
        return {**super().point(values), "scales": scales}

    def _draw_scale(self, rng: Rng) -> float | None:
        scale = self.scales.draw(rng)
        return None if rng.random() < _OFF else scale

    def _change_scale(self, scales: Sequence[float | None], place: int, rng: Rng) -> float | None:
        now = scales[place]
        kind = rng.random()
        if now is None or kind < 0.2:
            return self._draw_scale(rng) if now is None else None
        if kind < 0.4 and self.pieces > 1:
            side = 1 if place == 0 or (place < self.pieces - 1 and rng.random() < 0.5) else -1
            return scales[place + side]
        return self.scales.move(now, rng)
