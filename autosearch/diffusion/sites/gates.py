"""Gates: whether a row may do without most of the network, decided from features at hand."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from autosearch.diffusion.sites.sites import FeatureMemory, Put
from autosearch.recipe.actions import Action, output_feature

__all__ = ["Gate", "Passed", "RowMemory"]


@dataclass(frozen=True)
class Gate:
    """A decision for each row, once the probe was computed: the rows that pass act otherwise.

    Two published measures of how little the probe's feature moved since it was last stored:

        forecast  mean |forecast - output| / mean |output|: how well the probe's output was foreseen
                  (CG-Taylor; Liu et al. 2025)
        change    mean |feature - stored| / mean |stored|, of what the probe adds to its input
                  (first-block cache of ParaAttention, cache-dit and diffusers)

    The published ones take means over the whole batch, so that a sample depends on its
    neighbours. These are over a row's own numbers.

    Attributes:
        probe: the site that decides; always computed. Stored where a row did not pass.
        threshold: rows below it pass.
        order: of the probe's forecast, where there is so much stored.
        sites: everything that rows which pass do not compute.
        saves: multiply-accumulates of one such row beyond what the step saves anyway.
    """

    probe: str
    threshold: float
    measure: Literal["forecast", "change"]
    order: int
    sites: tuple[tuple[str, Action], ...]
    saves: int

    @property
    def feature(self) -> str:
        """The name under which the probe's feature is stored."""
        return output_feature(self.probe) if self.measure == "forecast" else self.probe

    def to_list(self) -> list[object]:
        """Plain data for hashing."""
        sites = {name: str(action) for name, action in self.sites}
        return [self.probe, self.threshold, self.measure, self.order, sites]

    def passes(self, computed: Tensor, known: Tensor) -> Tensor:
        """Which rows pass: [B] from the probe's feature and what was known of it, [B, ...]."""
        error = (computed - known).flatten(1).abs().mean(dim=1)
        scale = (computed if self.measure == "forecast" else known).flatten(1).abs().mean(dim=1)
        return error < self.threshold * scale


class Passed(NamedTuple):
    """What one call of :meth:`RowMemory.passed` was told."""

    mask: Tensor
    saves: int


class RowMemory(FeatureMemory):
    """Features of each row at its own coordinates, and what gates saved it; for gated plans.

    Each feature is a ring of ``keep`` slots in which every row has its own place.

    Attributes:
        saved: [N] multiply-accumulates that gates avoided so far, for each row.
    """

    def __init__(self, keep: dict[str, int], count: int) -> None:
        super().__init__(keep)
        self.saved = torch.zeros(count, dtype=torch.int64)
        self._rings: dict[tuple[str, str], _Ring] = {}

    def put(
        self,
        branch: str,
        name: str,
        coordinate: float,
        feature: Tensor,
        rows: Tensor | None = None,
    ) -> None:
        if self.told is not None:
            self.told.append(Put(branch, name, coordinate, feature, rows))
        if (branch, name) not in self._rings:
            shape = (self.keep[name], len(self.saved), *feature.shape[1:])
            self._rings[branch, name] = _Ring(feature.new_zeros(shape))
        self._rings[branch, name].put(self._rows(rows, feature.device), coordinate, feature)

    def get(
        self,
        branch: str,
        name: str,
        coordinate: float,
        order: int,
        *,
        onto: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        ring = self._rings[branch, name]
        feature = ring.get(self._rows(rows, ring.slots.device), coordinate, order)
        return feature if onto is None else onto + feature

    def passed(self, mask: Tensor, saves: int) -> None:
        """Note the rows [N] that passed a gate."""
        if self.told is not None:
            self.told.append(Passed(mask, saves))
        self.saved += saves * mask.to(device="cpu", dtype=torch.int64)

    @property
    def nbytes(self) -> int:
        return sum(ring.slots.numel() * ring.slots.element_size() for ring in self._rings.values())

    def _rows(self, rows: Tensor | None, device: torch.device) -> Tensor:
        return torch.arange(len(self.saved), device=device) if rows is None else rows


class _Ring:
    """The last few features of each row: slots [K, N, ...]; the newest of row r is at
    ``(stored[r] - 1) % K``."""

    def __init__(self, slots: Tensor) -> None:
        self.slots = slots
        kept, count = slots.shape[:2]
        self.at = torch.zeros(kept, count, dtype=torch.float64, device=slots.device)
        self.stored = torch.zeros(count, dtype=torch.int64, device=slots.device)

    def put(self, rows: Tensor, coordinate: float, feature: Tensor) -> None:
        kept = len(self.slots)
        newest = (self.stored[rows] - 1) % kept
        again = (self.stored[rows] > 0) & (self.at[newest, rows] == coordinate)
        self.stored[rows] += (~again).long()
        slot = (self.stored[rows] - 1) % kept
        self.slots[slot, rows] = feature
        self.at[slot, rows] = coordinate

    def get(self, rows: Tensor, coordinate: float, order: int) -> Tensor:
        """Extrapolated to ``coordinate``, each row by as many features as it has."""
        kept, stored = len(self.slots), self.stored[rows]
        if bool((stored == 0).any()):
            raise KeyError("nothing is stored for some rows")
        order = min(order, kept - 1)
        if order == 0:
            return self.slots[(stored - 1) % kept, rows]
        places = [(stored - 1 - j) % kept for j in range(order + 1)]
        at = [self.at[place, rows] for place in places]
        total: Tensor | None = None
        for j, place in enumerate(places):
            weight = (stored > j).double()
            for i, other in enumerate(at):
                if i != j:
                    known = (stored > i) & (stored > j)
                    ratio = (coordinate - other) / torch.where(known, at[j] - other, 1.0)
                    weight = torch.where(known, weight * ratio, weight)
            feature = self.slots[place, rows]
            scaled = weight.to(feature.dtype).view(-1, *[1] * (feature.dim() - 1))
            total = feature * scaled if total is None else total.addcmul_(feature, scaled)
        assert total is not None
        return total
