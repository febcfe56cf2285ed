"""Sites of a network, what may stand in for them, and the memory of their features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["Action", "FeatureMemory", "Site", "extrapolate"]


class Action(NamedTuple):
    """What to do at a site instead of computing it.

    ``forecast`` extrapolates the last ``order + 1`` computed features; order 0 equals reuse.
    """

    kind: Literal["compute", "reuse", "skip", "forecast"]
    order: int = 0

    def __str__(self) -> str:
        return f"forecast:{self.order}" if self.kind == "forecast" else self.kind


@dataclass(frozen=True)
class Site:
    """A sub-module that a recipe may skip, reuse or forecast.

    Attributes:
        name: ``block.3``, ``block.3.attn``, ``block.3.mlp``.
        macs: multiply-accumulates of one sample, children included.
        elements: numbers that storing its feature takes for one sample.
        parent: the site that contains it.
        residual: whether the module's output contains its input; then the difference is stored,
            and a skip passes the input on. Otherwise the output is stored and a skip gives zeros.
    """

    name: str
    macs: int
    elements: int
    parent: str | None = None
    residual: bool = False


@dataclass
class FeatureMemory:
    """Features of past steps, keyed by (branch, site); rows of two branches never mix.

    ``keep`` gives, for each site worth storing, how many computed features are held.
    """

    keep: Mapping[str, int]
    _stored: dict[tuple[str, str], list[tuple[float, Tensor]]] = field(default_factory=dict)

    def put(self, branch: str, site: str, coordinate: float, feature: Tensor) -> None:
        """Add the feature computed at ``coordinate``; the oldest beyond ``keep`` is dropped.

        A second one at the same coordinate, as an implicit corrector computes, takes its place.
        """
        entries = self._stored.setdefault((branch, site), [])
        if entries and entries[-1][0] == coordinate:
            entries.pop()
        entries.append((coordinate, feature))
        del entries[: -self.keep[site]]

    def get(self, branch: str, site: str, coordinate: float, order: int) -> Tensor:
        """The feature extrapolated to ``coordinate``.

        Raises:
            KeyError: when nothing was stored for this branch and site.
        """
        return extrapolate(self._stored[branch, site][-(order + 1) :], coordinate)

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        entries = (f for features in self._stored.values() for _, f in features)
        return sum(f.numel() * f.element_size() for f in entries)


def extrapolate(entries: Sequence[tuple[float, Tensor]], coordinate: float) -> Tensor:
    """Polynomial through the entries at a new coordinate (Lagrange form, true gaps).

    At orders 0 and 1 this is reuse and TaylorSeer's forecast (Liu et al. 2025). From order 2 on we
    deviate: its Taylor series takes backward differences for derivatives, which is not exact for
    polynomials of that degree; this is, on any grid.
    """
    if len(entries) == 1:
        return entries[0][1]
    total: Tensor | None = None
    for i, (at, feature) in enumerate(entries):
        weight = 1.0
        for j, (other, _) in enumerate(entries):
            if i != j:
                weight *= (coordinate - other) / (at - other)
        total = weight * feature if total is None else torch.add(total, feature, alpha=weight)
    assert total is not None
    return total
