"""The memory of features that steps leave for later ones, of whole branches or of each row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from autosearch.diffusion.lagrange import lagrange_basis

__all__ = [
    "FeatureMemory",
    "Lookup",
    "Passed",
    "Put",
    "RecordingMemory",
    "RowMemory",
    "extrapolate",
]


class Put(NamedTuple):
    """A computed feature, to be stored.

    Attributes:
        branch: the branch that computed it.
        name: of the feature.
        coordinate: where the step stands on the axis of forecasts.
        feature: [B, ...].
        rows: [B] indices of the samples that these are; None for all.
    """

    branch: str
    name: str
    coordinate: float
    feature: Tensor
    rows: Tensor | None = None


class Lookup(NamedTuple):
    """A feature that is asked for: of a branch, at a coordinate, by a forecast of an order."""

    branch: str
    name: str
    coordinate: float
    order: int = 0


class Passed(NamedTuple):
    """One call of :meth:`FeatureMemory.passed`."""

    mask: Tensor
    saves: int


@dataclass
class FeatureMemory:
    """Features of past steps, keyed by (branch, feature); rows of two branches never mix.

    The rows of a branch are all alike: what is stored of one is stored of all, at the same
    coordinate.

    Attributes:
        keep: for each feature worth storing, how many computed ones are held.
    """

    keep: Mapping[str, int]
    _stored: dict[tuple[str, str], list[tuple[float, Tensor]]] = field(default_factory=dict)

    def put(self, put: Put) -> None:
        """Store a feature; the oldest beyond ``keep`` is dropped.

        A second one at the same coordinate, as an implicit corrector computes, takes its place.
        """
        assert put.rows is None
        entries = self._stored.setdefault((put.branch, put.name), [])
        if entries and entries[-1][0] == put.coordinate:
            entries.pop()
        entries.append((put.coordinate, put.feature))
        del entries[: -self.keep[put.name]]

    def get(
        self, asked: Lookup, *, onto: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """The feature [B, ...] extrapolated to a coordinate, added to ``onto`` where it is given.

        Raises:
            KeyError: when nothing was stored for this branch and feature.
        """
        assert rows is None
        entries = self._stored[asked.branch, asked.name][-(asked.order + 1) :]
        return extrapolate(entries, asked.coordinate, onto=onto)

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return sum(feature.nbytes for entries in self._stored.values() for _, feature in entries)

    def passed(self, mask: Tensor, saves: int) -> None:
        """Note the rows [N] that passed a gate, and the multiply-accumulates that each saves."""
        raise TypeError("gates decide row by row, and this memory keeps whole branches")


class RowMemory(FeatureMemory):
    """Features of each row at its own coordinates, and what gates saved it; for gated plans.

    Attributes:
        saved: [N] multiply-accumulates that gates avoided so far, for each row.
    """

    def __init__(self, keep: Mapping[str, int], count: int) -> None:
        super().__init__(keep)
        self.saved = torch.zeros(count, dtype=torch.int64)
        self._rings: dict[tuple[str, str], _Ring] = {}

    def put(self, put: Put) -> None:
        key = (put.branch, put.name)
        if key not in self._rings:
            shape = (self.keep[put.name], len(self.saved), *put.feature.shape[1:])
            self._rings[key] = _Ring(put.feature.new_zeros(shape))
        self._rings[key].put(put.rows, put.coordinate, put.feature)

    def get(
        self, asked: Lookup, *, onto: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        ring = self._rings[asked.branch, asked.name]
        feature = ring.get(rows, asked.coordinate, asked.order)
        return feature if onto is None else onto + feature

    @property
    def nbytes(self) -> int:
        return sum(ring.slots.nbytes for ring in self._rings.values())

    def passed(self, mask: Tensor, saves: int) -> None:
        self.saved += saves * mask.to(device="cpu", dtype=torch.int64)


class RecordingMemory(FeatureMemory):
    """Another memory, and a record of everything that changes it.

    Attributes:
        changes: what changed it, in order.
    """

    def __init__(self, inner: FeatureMemory) -> None:
        super().__init__(inner.keep)
        self._inner = inner
        self.changes: list[Put | Passed] = []

    def put(self, put: Put) -> None:
        self.changes.append(put)
        self._inner.put(put)

    def get(
        self, asked: Lookup, *, onto: Tensor | None = None, rows: Tensor | None = None
    ) -> Tensor:
        return self._inner.get(asked, onto=onto, rows=rows)

    def passed(self, mask: Tensor, saves: int) -> None:
        self.changes.append(Passed(mask, saves))
        self._inner.passed(mask, saves)

    @property
    def nbytes(self) -> int:
        return self._inner.nbytes


class _Ring:
    """The last few features of each row, in a ring of slots where every row has its own place.

    Slots are [K, N, ...]; the newest of row r is at ``(stored[r] - 1) % K``.
    """

    def __init__(self, slots: Tensor) -> None:
        self.slots = slots
        kept, count = slots.shape[:2]
        self.at = torch.zeros(kept, count, dtype=torch.float64, device=slots.device)
        self.stored = torch.zeros(count, dtype=torch.int64, device=slots.device)
        self.all = torch.arange(count, device=slots.device)

    def put(self, rows: Tensor | None, coordinate: float, feature: Tensor) -> None:
        """Add the feature [B, ...] of some rows [B], or of all."""
        rows, kept = self.all if rows is None else rows, len(self.slots)
        newest = (self.stored[rows] - 1) % kept
        again = (self.stored[rows] > 0) & (self.at[newest, rows] == coordinate)
        self.stored[rows] += (~again).long()
        slot = (self.stored[rows] - 1) % kept
        self.slots[slot, rows] = feature
        self.at[slot, rows] = coordinate

    def get(self, rows: Tensor | None, coordinate: float, order: int) -> Tensor:
        """The feature [B, ...] at ``coordinate``, each row by as many entries as it has."""
        rows, kept = self.all if rows is None else rows, len(self.slots)
        stored = self.stored[rows]
        if bool((stored == 0).any()):
            raise KeyError("nothing is stored for some rows")
        order = min(order, kept - 1)
        if order == 0:
            return self.slots[(stored - 1) % kept, rows]
        slots = [(stored - 1 - j) % kept for j in range(order + 1)]
        at = [self.at[slot, rows] for slot in slots]
        total: Tensor | None = None
        for j, slot in enumerate(slots):
            weight = (stored > j).double()
            for i, other in enumerate(at):
                if i != j:
                    present = (stored > i) & (stored > j)
                    ratio = (coordinate - other) / torch.where(present, at[j] - other, 1.0)
                    weight = torch.where(present, weight * ratio, weight)
            feature = self.slots[slot, rows]
            scaled = weight.to(feature.dtype).view(-1, *[1] * (feature.dim() - 1))
            total = feature * scaled if total is None else total.addcmul_(feature, scaled)
        assert total is not None
        return total


def extrapolate(
    entries: Sequence[tuple[float, Tensor]], coordinate: float, *, onto: Tensor | None = None
) -> Tensor:
    """The feature [B, ...] at a new coordinate, by a polynomial through the entries.

    In Lagrange form, with true gaps; added to ``onto`` where it is given.

    At orders 0 and 1 this is reuse and TaylorSeer's forecast (Liu et al. 2025). From order 2 on we
    deviate: its Taylor series takes backward differences for derivatives, which is not exact for
    polynomials of that degree; this is, on any grid.
    """
    if len(entries) == 1:
        feature = entries[0][1]
        return feature if onto is None else onto + feature
    coordinates = [at for at, _ in entries]
    weights = [lagrange_basis(coordinates, i, coordinate) for i in range(len(entries))]
    features = [feature for _, feature in entries]
    # As few passes over memory as there can be: on a CPU they are what a forecast costs.
    if onto is None and len(entries) == 2:
        return torch.lerp(features[0], features[1], weights[1])
    total = features[0] * weights[0] if onto is None else onto.add(features[0], alpha=weights[0])
    for weight, feature in zip(weights[1:], features[1:], strict=True):
        total.add_(feature, alpha=weight)
    return total
