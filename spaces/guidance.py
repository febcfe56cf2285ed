"""Guidance: a rule, a scale and the steps that it acts on."""

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

__all__ = ["GuidanceChoice", "inside"]

_LARGEST = 100.0
# Standard deviation of a move of an end, in shares of the steps.
_WIDTH = 0.15


class GuidanceChoice(GuidanceFamily):
    """One rule and scale over an interval of the steps, as Kynkaanniemi et al. (2024) limit it.

    A genome's choices stand beside its steps, under ``genes``: ``rule``, ``scale``, what only the
    rule has, and the interval's ends ``first`` and ``last`` as shares of the steps, noise first.
    Steps outside run the conditional branch alone, so the interval decides cost as well as
    quality. The scale is in the unit of ``cfg`` for every rule, 1 changing nothing; see
    :class:`autosearch.spaces.guidance_rules.RuleChoice`.

    Args:
        scale: the least and the largest scale.
        rules: of ``cfg``, ``cfgpp``, ``classifier``, ``pag`` and ``weak``.
        first: where the interval may start.
        last: where it may end.
        layer: for ``pag``, the attention sites of which one is perturbed; by default all.
        strength: for ``pag``, how far.
        weaker: for ``weak``, the sites of which one is left out; by default all outermost ones.
        temperature, discount: for ``classifier``, its calibration.

    Raises:
        UserError: for rules that the model cannot do, and impossible settings.
    """

    name = "guidance"
    summary = "a rule of guidance, its scale and the interval of steps"
    odds = 0.4

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        scale: Sequence[float] = (1.0, 8.0),
        rules: Sequence[str] = ("cfg", "cfgpp"),
        first: Sequence[float] = (0.0, 1.0),
        last: Sequence[float] = (0.0, 1.0),
        layer: Sequence[str] | None = None,
        strength: Sequence[float] = (1.0, 1.0),
        weaker: Sequence[str] | None = None,
        temperature: Sequence[float] = (0.25, 2.0),
        discount: Sequence[float] = (0.5, 1.0),
    ) -> None:
        super().__init__(denoiser)
        where = f"space.{self.name}"
        self.choice = RuleChoice(
            denoiser,
            rules,
            ranges={"strength": strength, "temperature": temperature, "discount": discount},
            choices={"layer": layer, "weaker": weaker},
            where=where,
        )
        self.rules = self.choice.rules
        largest = CFGPP if "cfgpp" in self.rules else _LARGEST
        self.ranges = {
            "scale": checked_range("scale", scale, largest, where=where),
            "first": checked_range("first", first, 1.0, where=where),
            "last": checked_range("last", last, 1.0, where=where),
        }
        if self.ranges["first"][0] > self.ranges["last"][1]:
            raise UserError(f"{where}: the interval ends before it starts; raise last")

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes = {name: float(rng.uniform(*ends)) for name, ends in self.ranges.items()}
        self._write(genome, _ordered({**self.choice.draw(rng), **genes}))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One choice: another rule or what it has, the scale by a factor, or an end by a little."""
        genes = self._genes(genome)
        if not self.choice.changed(genes, rng):
            name = str(rng.choice(["scale", "first", "last"]))
            if name == "scale":
                genes["scale"] *= float(rng.lognormal(0.0, 0.3))
            else:
                genes[name] += _WIDTH * float(rng.standard_normal())
        self._write(genome, _ordered(genes))

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Each choice from either parent."""
        mine, theirs = self._genes(child), self._genes(other)
        mixed = {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine}
        self._write(child, _ordered(mixed))

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._genes(genome))

    def encodes(self, genome: Genome) -> bool:
        written = self._per_step(self._clipped(self._genes(genome)), len(genome["steps"]))
        return written == self.shown(genome)

    def box(self) -> Sequence[Parameter]:
        """The rule, where there are several, what only it has, the scale and both ends."""
        numbers = (Parameter(name, "float", *ends) for name, ends in self.ranges.items())
        return (*self.choice.parameters(), *numbers)

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        numbers = {name: float(values[name]) for name in self.ranges}
        self._write(genome, _ordered({**self.choice.at(values), **numbers}))

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        self.write(genome, self._per_step(genes, len(genome["steps"])))

    def _per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        rule = self.choice.written(genes, genes["scale"])
        return [[dict(rule)] if i in inside(genes, count) else [] for i in range(count)]

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        shown = self.shown(genome)
        count = len(shown)
        guided = [i for i, rules in enumerate(shown) if rules]
        if not guided:
            scale = sum(self.ranges["scale"]) / 2
            empty = max(self.ranges["first"][0], self.ranges["last"][0])
            return {**self.choice.default(), "scale": scale, "first": empty, "last": empty}
        genes, scale = self.choice.read(shown[guided[0]][0])
        ends = {"first": guided[0] / count, "last": (guided[-1] + 1) / count}
        return {**genes, "scale": scale, **ends}

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits; an interval that would end first is empty."""
        result = self.choice.clipped(genes)
        for name, (low, high) in self.ranges.items():
            result[name] = round(min(max(float(genes[name]), low), high), DIGITS)
        return result


def inside(genes: Mapping[str, float], count: int) -> range:
    """The steps of an interval whose ends are shares of their number."""
    return range(round(genes["first"] * count), round(genes["last"] * count))


def _ordered(genes: Genes) -> Genes:
    first, last = sorted((genes["first"], genes["last"]))
    return {**genes, "first": first, "last": last}
