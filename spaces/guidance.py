"""Guidance: a rule, a scale and the steps that it acts on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter
from autosearch.spaces.genes import Genes
from autosearch.spaces.guidance_rules import (
    RuleFamily,
    interval_steps,
    order_ends,
    real_range,
)

__all__ = ["GuidanceChoice"]


@dataclass(kw_only=True, eq=False)
class GuidanceChoice(RuleFamily):
    """One rule and scale over an interval of the steps, as Kynkaanniemi et al. (2024) limit it.

    A genome's choices stand beside its steps, under ``genes``: ``rule``, ``scale``, what only the
    rule has, and the interval's ends ``first`` and ``last`` as shares of the steps, noise first.
    Steps outside run the conditional branch alone, so the interval decides cost as well as
    quality. The scale is in the unit of ``cfg`` for every rule, 1 changing nothing.

    Args:
        first: where the interval may start.
        last: where it may end.

    The other settings are those of :class:`autosearch.spaces.guidance_rules.RuleFamily`.

    Raises:
        UserError: for rules that the model cannot do, and impossible settings.
    """

    name = "guidance"
    summary = "a rule of guidance, its scale and the interval of steps"
    odds = 0.4

    first: Sequence[float] = (0.0, 1.0)
    last: Sequence[float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        first = real_range(f"{self.where}.first", self.first, 1.0)
        last = real_range(f"{self.where}.last", self.last, 1.0)
        if first.low > last.high:
            raise UserError(f"{self.where}: the interval ends before it starts; raise last")
        # An interval that would end before it starts is empty.
        self._empty = max(first.low, last.low)
        self._numbers = {"scale": self.scales, "first": first, "last": last}
        self.ranges = {**self.ranges, **self._numbers}

    def draw(self, rng: Rng) -> Genes:
        # The rule comes last.
        numbers = {name: gene.draw(rng) for name, gene in self._numbers.items()}
        others = [name for name in self.ranges if name not in numbers]
        return numbers | {name: self.ranges[name].draw(rng) for name in others}

    def arrange(self, genes: Genes) -> Genes:
        return order_ends(genes)

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """Another rule or what it has, the scale by a factor, or an end by a little."""
        if not self.change_rule(genes, rng):
            self.move_one(self._numbers, genes, rng)

    def per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        rule = self.to_rule(genes, genes["scale"])
        guided = interval_steps(genes, count)
        return [[dict(rule)] if i in guided else [] for i in range(count)]

    def read_genes(self, genome: Genome) -> Genes:
        shown = self.read_steps(genome)
        count = len(shown)
        guided = [i for i, rules in enumerate(shown) if rules]
        if not guided:
            scale = (self.scales.low + self.scales.high) / 2
            return {**self.default(), "scale": scale, "first": self._empty, "last": self._empty}
        genes, scale = self.from_rule(shown[guided[0]][0])
        ends = {"first": guided[0] / count, "last": (guided[-1] + 1) / count}
        return {**genes, "scale": scale, **ends}

    def box(self) -> Sequence[Parameter]:
        """The rule, where there are several, what only it has, the scale and both ends."""
        genes = self.ranges.items()
        return tuple(g.parameter(n) for n, g in genes if g.varies or n in self._numbers)
