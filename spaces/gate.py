"""Gate of few numbers: samples leave out most of the network where a probe hardly changed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from autosearch.baselines.policies.gated_steps import GatedCache
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter, Rng
from autosearch.spaces.site_masks import OwnedSites

__all__ = ["GateChoice"]

_WHERE = "space.gate"
_MEASURES = ("forecast", "change")
_DIGITS = 4

Genes = dict[str, Any]


class GateChoice(OwnedSites):
    """One gate with the same numbers at every step between a warm-up and the last steps.

    A genome's choices stand beside its steps, under ``genes``: ``measure``, ``threshold``,
    ``probe_order`` (of the probe's forecast; ``measure: forecast`` alone has one), ``order`` (of
    what passing samples take for the rest), ``first`` (how many blocks are always computed, the
    last of them the probe), ``warmup`` and ``tail`` (steps that compute at both ends). Contains
    CG-Taylor, first-block cache and DBCache; see
    :class:`autosearch.baselines.policies.gated_steps.GatedCache`.

    Args:
        threshold: the least and the largest, searched on a logarithmic scale.
        measures: ``forecast``, ``change`` or both.
        probe_order, order, first, warmup, tail: the least and the largest of each.
        without: how likely a random genome has no gate at all, and a mutation takes one away.

    Raises:
        UserError: for a model with fewer than two blocks and impossible settings.
    """

    name = "gate"
    summary = "one threshold below which a sample leaves most blocks out (CG-Taylor, FBCache)"
    fields = ("gate",)
    odds = 0.6

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        threshold: Sequence[float] = (1e-3, 1.0),
        measures: Sequence[str] = _MEASURES,
        probe_order: Sequence[int] = (0, 3),
        order: Sequence[int] = (0, 2),
        first: Sequence[int] | None = None,
        warmup: Sequence[int] = (1, 6),
        tail: Sequence[int] = (0, 2),
        without: float = 0.0,
    ) -> None:
        super().__init__(denoiser)
        count = len(blocks(denoiser.sites))
        if count < 2:
            raise UserError(f"{_WHERE}: it needs a model of at least two blocks; leave it out")
        blocks_first = (1, min(4, count - 1)) if first is None else first
        self.ranges = {
            "probe_order": _checked("probe_order", probe_order, 0, 4),
            "order": _checked("order", order, 0, 4),
            "first": _checked("first", blocks_first, 1, count - 1),
            "warmup": _checked("warmup", warmup, 1, 1000),
            "tail": _checked("tail", tail, 0, 1000),
        }
        self.measures = tuple(name for name in _MEASURES if name in measures)
        if not self.measures or len(self.measures) < len(set(measures)):
            raise UserError(f"{_WHERE}.measures: expected some of {', '.join(_MEASURES)}")
        if len(threshold) != 2 or not 0 < threshold[0] <= threshold[1]:
            raise UserError(
                f"{_WHERE}.threshold: expected [least, most] above 0, got {list(threshold)}"
            )
        if not 0 <= without < 1:
            raise UserError(f"{_WHERE}.without: {without:g} is no probability below 1")
        self.threshold = (math.log10(threshold[0]), math.log10(threshold[1]))
        self.without = without

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes: Genes = {
            name: int(rng.integers(low, high + 1)) for name, (low, high) in self.ranges.items()
        }
        drawn = 0.0 if rng.random() < self.without else self._drawn(rng)
        genes |= {"threshold": drawn, "measure": str(rng.choice(self.measures))}
        self._write(genome, genes)

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """The threshold by a factor, or another choice by a little."""
        genes = self._genes(genome)
        names = [name for name, (low, high) in self.ranges.items() if low < high]
        if rng.random() < self.without:
            genes["threshold"] = 0.0
        elif not genes["threshold"]:
            genes["threshold"] = self._drawn(rng)
        elif rng.random() < 0.5 or not names:
            genes["threshold"] *= float(rng.lognormal(0.0, 0.4))
        elif len(self.measures) > 1 and rng.random() < 0.2:
            genes["measure"] = next(name for name in self.measures if name != genes["measure"])
        else:
            genes[str(rng.choice(names))] += int(rng.choice([-1, 1]))
        self._write(genome, genes)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Each choice from either parent."""
        mine, theirs = self._genes(child), self._genes(other)
        self._write(child, {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine})

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._genes(genome))

    def encodes(self, genome: Genome) -> bool:
        written = self._steps(self._genes(genome), len(genome["steps"]))
        return written == [step.get("gate") for step in genome["steps"]]

    def box(self) -> Sequence[Parameter]:
        """The threshold's logarithm, the whole numbers and, where there are two, the measure."""
        measure = Parameter("measure", "choice", choices=self.measures)
        return (
            Parameter("log_threshold", "float", *self.threshold),
            *(Parameter(name, "int", *ends) for name, ends in self.ranges.items()),
            *([measure] if len(self.measures) > 1 else []),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        genes: Genes = {name: int(values[name]) for name in self.ranges}
        genes["threshold"] = 10 ** float(values["log_threshold"])
        genes["measure"] = str(values.get("measure", self.measures[0]))
        self._write(genome, genes)

    def _drawn(self, rng: Rng) -> float:
        return 10 ** float(rng.uniform(*self.threshold))

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        written = self._steps(genes, len(genome["steps"]))
        for step, gate in zip(genome["steps"], written, strict=True):
            step.pop("gate", None)
            if gate:
                step["gate"] = gate

    def _steps(self, genes: Genes, count: int) -> list[dict[str, Any] | None]:
        return GatedCache(**genes).steps(count, self.denoiser.sites)

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        shown = [step.get("gate") for step in genome["steps"]]
        found = GatedCache.shown(shown, self.denoiser.sites)
        return self._clipped(asdict(found or GatedCache(threshold=0.0)))

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits."""
        measure = genes["measure"] if genes["measure"] in self.measures else self.measures[0]
        result: Genes = {"measure": measure}
        low, high = (10**value for value in self.threshold)
        # 0 is the recipe without a gate, which baselines bring.
        threshold = float(genes["threshold"])
        inside = min(max(threshold, low), high) if threshold else 0.0
        result["threshold"] = float(f"{inside:.{_DIGITS}g}")
        for name, (least, most) in self.ranges.items():
            result[name] = min(max(int(genes[name]), least), most)
        return result


def _checked(name: str, given: Sequence[int], least: int, most: int) -> tuple[int, int]:
    whole = len(given) == 2 and all(type(value) is int for value in given)
    if not whole or not least <= given[0] <= given[1] <= most:
        raise UserError(
            f"{_WHERE}.{name}: expected two whole numbers [least, most] from {least} to {most}, "
            f"got {list(given)}"
        )
    return given[0], given[1]
