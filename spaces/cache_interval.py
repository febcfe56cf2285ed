"""Cache of few numbers: interval, order, warm-up and a range of blocks, for numeric search."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autosearch._typing import Rng
from autosearch.baselines.policies.caches import IntervalCache
from autosearch.diffusion.sites.sites import blocks, parts
from autosearch.errors import UserError
from autosearch.spaces.base import Genome, Parameter, checked_ends
from autosearch.spaces.genes import GeneFamily, Genes, OneOf, Real, Whole
from autosearch.spaces.site_masks import OwnedSites

__all__ = ["CacheInterval"]

_WHERE = "space.cache-interval"


@dataclass(kw_only=True, eq=False)
class CacheInterval(OwnedSites, GeneFamily):
    """Steps at regular intervals compute; the others forecast the parts of some blocks.

    A genome's choices stand beside its steps, under ``genes``: ``interval``, ``order`` (0 reuses),
    ``warmup``, ``cached`` (how many blocks), ``boundary`` (the share of the steps, from the noise
    on, that leave out the rear blocks; the later ones the front ones) and ``whole`` (neighbouring
    blocks as one site). Contains FORA, TaylorSeer and Delta-DiT; see
    :class:`autosearch.baselines.policies.caches.IntervalCache`.

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

    interval: Sequence[int] = (1, 8)
    order: Sequence[int] = (0, 4)
    warmup: Sequence[int] = (1, 6)

    def __post_init__(self) -> None:
        self._blocks = blocks(self.denoiser.sites)
        if not self._blocks:
            raise UserError(f"{_WHERE}: this model has no blocks to leave out; leave it out")
        # Where blocks have no parts, they are left out whole in any case.
        both = (False,) if parts(self.denoiser.sites) != self._blocks else ()
        self.ranges = {
            "interval": _whole("interval", self.interval, 1, 1000),
            "order": _whole("order", self.order, 0, 4),
            "warmup": _whole("warmup", self.warmup, 1, 1000),
            "cached": Whole(1, len(self._blocks)),
            "boundary": Real(0.0, 1.0, width=0.15),
            "whole": _Grouping((*both, True)),
        }

    def draw(self, rng: Rng) -> Genes:
        # The boundary comes last.
        names = sorted(self.ranges, key=lambda name: name == "boundary")
        return {name: self.ranges[name].draw(rng) for name in names}

    def per_step(self, genes: Genes, count: int) -> list[dict[str, str]]:
        return IntervalCache(**genes).steps(count, self.denoiser.sites)

    def read_genes(self, genome: Genome) -> Genes:
        shown = [sites or {} for sites in self.read_steps(genome)]
        cache = IntervalCache.from_steps(shown, self.denoiser.sites) or IntervalCache(1)
        return self.clip({**asdict(cache), "cached": cache.cached or len(self._blocks)})


def _whole(name: str, given: Sequence[int], least: int, most: int) -> Whole:
    return Whole(*checked_ends(f"{_WHERE}.{name}", given, least, most, whole=True))


class _Grouping(OneOf):
    """Whether blocks are left out whole; a box has names for it."""

    def parameter(self, name: str) -> Parameter:
        return Parameter(name, "choice", choices=("parts", "blocks"))

    def from_box(self, value: Any) -> bool:
        return bool(value == "blocks")
