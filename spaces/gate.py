"""Gate of few numbers: samples leave out most of the network where a probe hardly changed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.baselines.policies.gates import GatedCache
from autosearch.diffusion.sites.sites import blocks
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter, checked_ends
from autosearch.spaces.genes import GeneFamily, Genes, Log, OneOf, Whole
from autosearch.spaces.site_masks import OwnedSites

__all__ = ["GateChoice"]

_WHERE = "space.gate"
_MEASURES = ("forecast", "change")


@dataclass(kw_only=True, eq=False)
class GateChoice(OwnedSites, GeneFamily):
    """One gate with the same numbers at every step between a warm-up and the last steps.

    A genome's choices stand beside its steps, under ``genes``: ``measure``, ``threshold``,
    ``probe_order`` (of the probe's forecast; ``measure: forecast`` alone has one), ``order`` (of
    what passing samples take for the rest), ``first`` (how many blocks are always computed, the
    last of them the probe), ``warmup`` and ``tail`` (steps that compute at both ends). Contains
    CG-Taylor, first-block cache and DBCache; see
    :class:`autosearch.baselines.policies.gates.GatedCache`.

    Args:
        threshold: the least and the largest, searched on a logarithmic scale.
        measures: ``forecast``, ``change`` or both.
        probe_order: the least and the largest order of the probe's forecast.
        order: of what passing samples take for the rest.
        first: how many blocks are always computed.
        warmup: how many steps compute at the start.
        tail: how many steps compute at the end.
        without: how likely a random genome has no gate at all, and a mutation takes one away.

    Raises:
        UserError: for a model with fewer than two blocks and impossible settings.
    """

    name = "gate"
    summary = "one threshold below which a sample leaves most blocks out (CG-Taylor, FBCache)"
    fields = ("gate",)
    odds = 0.6

    threshold: Sequence[float] = (1e-3, 1.0)
    measures: Sequence[str] = _MEASURES
    probe_order: Sequence[int] = (0, 3)
    order: Sequence[int] = (0, 2)
    first: Sequence[int] | None = None
    warmup: Sequence[int] = (1, 6)
    tail: Sequence[int] = (0, 2)
    without: float = 0.0

    def __post_init__(self) -> None:
        count = len(blocks(self.denoiser.sites))
        if count < 2:
            raise UserError(f"{_WHERE}: it needs a model of at least two blocks; leave it out")
        blocks_first = (1, min(4, count - 1)) if self.first is None else self.first
        settings = {
            "probe_order": (self.probe_order, 0, 4),
            "order": (self.order, 0, 4),
            "first": (blocks_first, 1, count - 1),
            "warmup": (self.warmup, 1, 1000),
            "tail": (self.tail, 0, 1000),
        }
        whole = {name: _count(f"{_WHERE}.{name}", *limits) for name, limits in settings.items()}
        known = tuple(name for name in _MEASURES if name in self.measures)
        if not known or len(known) < len(set(self.measures)):
            raise UserError(f"{_WHERE}.measures: expected some of {', '.join(_MEASURES)}")
        if not 0 <= self.without < 1:
            raise UserError(f"{_WHERE}.without: {self.without:g} is no probability below 1")
        low, high = checked_ends(f"{_WHERE}.threshold", self.threshold, 1e-9, 1e6)
        self._threshold = _Threshold(low, high)
        self._measure = OneOf(known)
        self.ranges = {"measure": self._measure, "threshold": self._threshold, **whole}
        self._whole = whole

    def draw(self, rng: Rng) -> Genes:
        genes: Genes = {name: gene.draw(rng) for name, gene in self._whole.items()}
        genes["threshold"] = 0.0 if rng.random() < self.without else self._threshold.draw(rng)
        return {**genes, "measure": self._measure.draw(rng)}

    def change(self, genome: Genome, genes: Genes, rng: Rng) -> None:
        """The threshold by a factor, or another gene by a little."""
        names = [name for name, gene in self._whole.items() if gene.varies]
        if rng.random() < self.without:
            genes["threshold"] = 0.0
        elif not genes["threshold"]:
            genes["threshold"] = self._threshold.draw(rng)
        elif rng.random() < 0.5 or not names:
            self.move_one(["threshold"], genes, rng)
        elif self._measure.varies and rng.random() < 0.2:
            self.move_one(["measure"], genes, rng)
        else:
            self.move_one(names, genes, rng)

    def per_step(self, genes: Genes, count: int) -> list[dict[str, Any] | None]:
        return GatedCache(**genes).steps(count, self.denoiser.sites)

    def read_genes(self, genome: Genome) -> Genes:
        cache = GatedCache.from_gates(self.read_steps(genome), self.denoiser.sites)
        return self.clip(asdict(cache or GatedCache(threshold=0.0)))

    def box(self) -> Sequence[Parameter]:
        """The threshold's logarithm, the whole numbers and, where there are two, the measure."""
        return tuple(sorted(super().box(), key=lambda parameter: parameter.kind == "choice"))


def _count(where: str, given: Sequence[int], least: int, most: int) -> Whole:
    low, high = checked_ends(where, given, least, most, whole=True)
    return Whole(low, high, reach=1)


class _Threshold(Log):
    """A threshold; 0 is the recipe without a gate."""

    def clip(self, value: Any) -> float:
        return super().clip(value) if value else 0.0
