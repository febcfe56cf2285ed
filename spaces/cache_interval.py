"""Cache of few numbers: interval, order, warm-up and a range of blocks, for numeric search."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from autosearch.baselines.policies.cached_steps import IntervalCache
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.sites.sites import blocks, parts
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter, Rng
from autosearch.spaces.site_masks import OwnedSites

__all__ = ["CacheInterval"]

_WHERE = "space.cache-interval"
_DIGITS = 3
# Standard deviation of a move of the boundary, in shares of the steps.
_WIDTH = 0.15

Genes = dict[str, Any]


class CacheInterval(OwnedSites):
    """Steps at regular intervals compute; the others forecast the parts of some blocks.

    A genome's choices stand beside its steps, under ``genes``: ``interval``, ``order`` (0 reuses),
    ``warmup``, ``cached`` (how many blocks), ``boundary`` (the share of the steps, from the noise
    on, that leave out the rear blocks; the later ones the front ones) and ``whole`` (neighbouring
    blocks as one site). Contains FORA, TaylorSeer and Delta-DiT; see
    :class:`autosearch.baselines.policies.cached_steps.IntervalCache`.

    Args:
        interval: the least and the largest interval; 1 computes every step.
        order: of the forecasts.
        warmup: so many steps compute at the start.

    Raises:
        UserError: for a model without blocks and impossible settings.
    """

    name = "cache-interval"
    summary = "a cache of six numbers: interval, order, warm-up, blocks, boundary, grouping"
    odds = 0.6

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        interval: Sequence[int] = (1, 8),
        order: Sequence[int] = (0, 4),
        warmup: Sequence[int] = (1, 6),
    ) -> None:
        super().__init__(denoiser)
        self._blocks = blocks(denoiser.sites)
        if not self._blocks:
            raise UserError(f"{_WHERE}: this model has no blocks to leave out; leave it out")
        self.ranges = {
            "interval": _checked("interval", interval, 1, 1000),
            "order": _checked("order", order, 0, 4),
            "warmup": _checked("warmup", warmup, 1, 1000),
            "cached": (1, len(self._blocks)),
        }
        # Where blocks have no parts, they are left out whole in any case.
        self._wholes = (False, True) if parts(denoiser.sites) != self._blocks else (True,)

    def randomize(self, genome: Genome, rng: Rng) -> None:
        genes: Genes = {
            name: int(rng.integers(low, high + 1)) for name, (low, high) in self.ranges.items()
        }
        whole = bool(rng.choice(self._wholes))
        self._write(genome, {**genes, "boundary": float(rng.random()), "whole": whole})

    def mutate(self, genome: Genome, rng: Rng) -> None:
        """One choice by a little; the grouping, where there are two, by turning it round."""
        genes = self._genes(genome)
        names = [*self.ranges, "boundary", *(["whole"] if len(self._wholes) > 1 else [])]
        name = str(rng.choice(names))
        if name == "whole":
            genes[name] = not genes[name]
        elif name == "boundary":
            genes[name] += _WIDTH * float(rng.standard_normal())
        else:
            genes[name] += int(rng.choice([-2, -1, 1, 2]))
        self._write(genome, genes)

    def recombine(self, child: Genome, other: Genome, rng: Rng) -> None:
        """Each choice from either parent."""
        mine, theirs = self._genes(child), self._genes(other)
        self._write(child, {name: (mine, theirs)[int(rng.integers(2))][name] for name in mine})

    def repair(self, genome: Genome) -> None:
        self._write(genome, self._genes(genome))

    def encodes(self, genome: Genome) -> bool:
        written = self._steps(self._genes(genome), len(genome["steps"]))
        return written == [step.get("sites", {}) for step in genome["steps"]]

    def box(self) -> Sequence[Parameter]:
        """Four whole numbers, the boundary and, where blocks have parts, the grouping."""
        whole = Parameter("whole", "choice", choices=("parts", "blocks"))
        return (
            *(Parameter(name, "int", *ends) for name, ends in self.ranges.items()),
            Parameter("boundary", "float", 0.0, 1.0),
            *([whole] if len(self._wholes) > 1 else []),
        )

    def from_box(self, genome: Genome, values: Mapping[str, Any]) -> None:
        genes: Genes = {name: int(values[name]) for name in self.ranges}
        whole = values.get("whole", "blocks") == "blocks"
        self._write(genome, {**genes, "boundary": float(values["boundary"]), "whole": whole})

    def _write(self, genome: Genome, genes: Genes) -> None:
        genes = self._clipped(genes)
        self.set_genes(genome, genes)
        written = self._steps(genes, len(genome["steps"]))
        for step, sites in zip(genome["steps"], written, strict=True):
            step.pop("sites", None)
            if sites:
                step["sites"] = sites

    def _steps(self, genes: Genes, count: int) -> list[dict[str, str]]:
        return IntervalCache(**genes).steps(count, self.denoiser.sites)

    def _genes(self, genome: Genome) -> Genes:
        """The genome's choices; those that its steps show where it brings none."""
        known = self.genes(genome)
        if known is not None:
            return known
        shown = [step.get("sites", {}) for step in genome["steps"]]
        found = IntervalCache.shown(shown, self.denoiser.sites) or IntervalCache(1)
        return self._clipped({**asdict(found), "cached": found.cached or len(self._blocks)})

    def _clipped(self, genes: Genes) -> Genes:
        """Inside the settings, with few digits."""
        result: Genes = {}
        for name, (low, high) in self.ranges.items():
            result[name] = min(max(int(genes[name]), low), high)
        result["boundary"] = round(min(max(float(genes["boundary"]), 0.0), 1.0), _DIGITS)
        result["whole"] = genes["whole"] if genes["whole"] in self._wholes else self._wholes[0]
        return result


def _checked(name: str, given: Sequence[int], least: int, most: int) -> tuple[int, int]:
    whole = len(given) == 2 and all(type(value) is int for value in given)
    if not whole or not least <= given[0] <= given[1] <= most:
        raise UserError(
            f"{_WHERE}.{name}: expected two whole numbers [least, most] from {least} to {most}, "
            f"got {list(given)}"
        )
    return given[0], given[1]
