"""The one mechanism that intercepts a network's sub-modules: compute, reuse, forecast, skip.

It is installed for one call and leaves nothing behind: each site's module gets a ``forward`` of
its own for the duration, and loses it again, also after an exception.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Action", "FeatureMemory", "Site", "extrapolate", "intercepted"]


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


@contextmanager
def intercepted(
    modules: Mapping[str, nn.Module],
    sites: Mapping[str, Site],
    *,
    actions: Mapping[str, Action],
    memory: FeatureMemory | None,
    branches: Sequence[str],
    coordinate: float,
) -> Iterator[None]:
    """Run the body with the sites' modules doing what ``actions`` says.

    The batch holds the branches one after the other, equally many rows each. ``coordinate``
    places this step on the axis along which features are forecast: the network's time.
    """
    recorded = set(memory.keep) if memory is not None else set()
    touched = [name for name in modules if name in actions or name in recorded]
    # Another library's hook may already stand where ours goes; it is called, and put back.
    hooks = {name: vars(modules[name]).get("forward") for name in touched}
    try:
        for name in touched:
            handler = _Handler(
                original=modules[name].forward,
                site=sites[name],
                action=actions.get(name, Action("compute")),
                memory=memory if name in recorded else None,
                branches=branches,
                coordinate=coordinate,
            )
            modules[name].forward = handler
        yield
    finally:
        for name, hook in hooks.items():
            vars(modules[name]).pop("forward", None)
            if hook is not None:
                modules[name].forward = hook


@dataclass(frozen=True)
class _Handler:
    original: Callable[..., Tensor]
    site: Site
    action: Action
    memory: FeatureMemory | None
    branches: Sequence[str]
    coordinate: float

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.action.kind == "compute":
            output = self.original(hidden, *args, **kwargs)
            if self.memory is not None:
                self._record(output - hidden if self.site.residual else output)
            return output
        if self.action.kind == "skip":
            return hidden if self.site.residual else torch.zeros_like(hidden)
        feature = self._recall()
        return hidden + feature if self.site.residual else feature

    def _record(self, feature: Tensor) -> None:
        assert self.memory is not None
        for branch, rows in zip(self.branches, feature.chunk(len(self.branches)), strict=True):
            self.memory.put(branch, self.site.name, self.coordinate, rows)

    def _recall(self) -> Tensor:
        assert self.memory is not None
        rows = [
            self.memory.get(branch, self.site.name, self.coordinate, self.action.order)
            for branch in self.branches
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows)
