"""Guidance: a rule, a scale and the steps that it acts on."""

from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError, unknown_name
from autosearch.recipe import round_float
from autosearch.spaces.base import Family, Genome, Parameter, Rng

__all__ = ["GuidanceChoice"]

_RULES = ("cfg", "cfgpp")
# CFG++'s scales from 0 to 1 stand for classifier-free ones from 1 to 12.5 (Chung et al. 2025); that
# they do so in proportion is our simplification.
_CFGPP = 12.5
_LARGEST = 100.0
_DIGITS = 3
# Standard deviation of a move of an end, in shares of the steps.
_WIDTH = 0.15

Genes = dict[str, Any]


class GuidanceChoice(Family):
    """One rule and scale over an interval of the steps, as Kynkaanniemi et al. (2024) limit it.

    A genome's choices stand beside its steps, under ``genes``: ``rule``, ``scale``, and the
    interval's ends ``first`` and ``last`` as shares of the steps, noise first. Steps outside run
    the conditional branch alone, so the interval decides cost as well as quality. The scale is
    that of ``cfg``; ``cfgpp`` is given the scale of its own that stands for it, a 12.5th.

    Args:
        scale: the least and the largest scale.
        rules: ``cfg``, ``cfgpp`` or both.
        first: where the interval may start.
        last: where it may end.

    Raises:
        UserError: for a model that does not run without its condition, and impossible settings.
    """

    name = "guidance"
    summary = "classifier-free guidance or CFG++: scale and the interval of steps"
    fields = ("guidance",)
    odds = 0.4

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        scale: Sequence[float] = (1.0, 8.0),
        rules: Sequence[str] = _RULES,
        first: Sequence[float] = (0.0, 1.0),
        last: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__(denoiser)
        if "uncond" not in denoiser.conditions:
            raise UserError(
                "space.guidance: it needs a model that also runs without its condition, and this "
                "one does not; leave the family out"
            )
        self.rules = _checked_rules(rules)
        largest = _CFGPP if "cfgpp" in self.rules else _LARGEST
        self.ranges = {
            "scale": _checked_range("scale", scale, largest),
            "first": _checked_range("first", first, 1.0),
            "last": _checked_range("last", last, 1.0),
        }
        if self.ranges["first"][0] > self.ranges["last"][1]:
            raise UserError("space.guidance: the interval ends before it starts; raise last")

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes = {name: float(rng.uniform(*ends)) for name, ends in self.ranges.items()}
        self._write(genome, _ordered({"rule": str(rng.choice(self.rules)), **genes}))

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One choice: the other rule, the scale by a factor, or an end by a little."""
        genes = self._genes(genome)
        name = str(rng.choice(["scale", "first", "last"]))
        if len(self.rules) > 1 and rng.random() < 0.2:
            genes["rule"] = next(rule for rule in self.rules if rule != genes["rule"])
        elif name == "scale":
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
        return written == [step.get("guidance", []) for step in genome["steps"]]

    def box(self) -> Sequence[Parameter]:
        """The rule, where there are two, the scale and both ends."""
        rule = [Parameter("rule", "choice", choices=self.rules)] if len(self.rules) > 1 else []
        return (*rule, *(Parameter(name, "float", *ends) for name, ends in self.ranges.items()))

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        numbers = {name: float(values[name]) for name in self.ranges}
        rule = str(values.get("rule", self.rules[0]))
        self._write(genome, _ordered({"rule": rule, **numbers}))

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        guided = self._per_step(genes, len(genome["steps"]))
        for step, guidance in zip(genome["steps"], guided, strict=True):
            step.pop("guidance", None)
            if guidance:
                step["guidance"] = guidance

    def _per_step(self, genes: Genes, count: int) -> list[list[dict[str, Any]]]:
        start, stop = (round(genes[name] * count) for name in ("first", "last"))
        share = 1.0 if genes["rule"] == "cfg" else 1.0 / _CFGPP
        scale = round_float(genes["scale"] * share)
        return [
            [{"rule": genes["rule"], "scale": scale}] if start <= i < stop else []
            for i in range(count)
        ]

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        count = len(genome["steps"])
        guided = [i for i, step in enumerate(genome["steps"]) if step.get("guidance")]
        if not guided:
            scale = sum(self.ranges["scale"]) / 2
            empty = max(self.ranges["first"][0], self.ranges["last"][0])
            return {"rule": self.rules[0], "scale": scale, "first": empty, "last": empty}
        shown = genome["steps"][guided[0]]["guidance"][0]
        scale = shown["scale"] * (_CFGPP if shown["rule"] == "cfgpp" else 1.0)
        ends = {"first": guided[0] / count, "last": (guided[-1] + 1) / count}
        return {"rule": shown["rule"], "scale": scale, **ends}

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits; an interval that would end first is empty."""
        rule = genes["rule"] if genes["rule"] in self.rules else self.rules[0]
        result: Genes = {"rule": rule}
        for name, (low, high) in self.ranges.items():
            result[name] = round(min(max(float(genes[name]), low), high), _DIGITS)
        return result


def _ordered(genes: Genes) -> Genes:
    first, last = sorted((genes["first"], genes["last"]))
    return {**genes, "first": first, "last": last}


def _checked_rules(rules: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(rules)) if isinstance(rules, list | tuple) else ()
    if not chosen:
        raise UserError(f"space.guidance.rules: expected a list of rules, got {rules!r}")
    for rule in chosen:
        if rule not in _RULES:
            raise unknown_name("rule", str(rule), _RULES, where="space.guidance.rules")
    return chosen


def _checked_range(name: str, given: Sequence[float], largest: float) -> tuple[float, float]:
    where = f"space.guidance.{name}"
    numbers = isinstance(given, list | tuple) and len(given) == 2
    if not numbers or not all(type(value) in (int, float) for value in given):
        raise UserError(f"{where}: expected two numbers [least, most], got {given!r}")
    low, high = (round(float(value), _DIGITS) for value in given)
    if not 0 <= low <= high <= largest:
        raise UserError(
            f"{where}: expected 0 <= least <= most <= {largest:g}, got [{low:g}, {high:g}]"
        )
    return low, high
