"""The one mechanism that intercepts a network: compute, reuse, forecast, skip, perturbed heads.

It is installed for one call and leaves nothing behind: each site's module gets a ``forward`` (or
an ``attend``) of its own for the duration, and loses it again, also after an exception.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.diffusion.branches import Branch
from autosearch.diffusion.sites import Action, FeatureMemory, Site

__all__ = ["PerturbedHeads", "Running", "intercepted"]


@dataclass
class Running:
    """The branches whose rows the batch holds at this moment: inside a site that some do not
    compute, the others alone."""

    branches: Sequence[Branch]


@contextmanager
def intercepted(
    modules: Mapping[str, nn.Module],
    sites: Mapping[str, Site],
    *,
    branches: Sequence[Branch],
    memory: FeatureMemory | None,
    coordinate: float,
) -> Iterator[None]:
    """Run the body with the sites' modules doing what the branches say.

    The batch holds the branches one after the other, equally many rows each. ``coordinate``
    places this step on the axis along which features are forecast: the network's time. A site
    whose heads are perturbed is a module with a method ``attend(query, key, value)``, each
    [B, heads, tokens, head_dim].
    """
    recorded = set(memory.keep) if memory is not None else set()
    acting = recorded.union(*(one.actions for one in branches))
    perturbed = {site for one in branches for site, _ in one.heads}
    replaced: list[tuple[nn.Module, str, Any]] = []
    running = Running(branches)
    try:
        for name in modules:
            if name in acting:
                known = memory if name in recorded else None
                handler = _Handler(modules[name].forward, sites[name], known, running, coordinate)
                _replace(modules[name], "forward", handler, replaced)
            if name in perturbed:
                attend: Any = modules[name].attend
                _replace(modules[name], "attend", PerturbedHeads(attend, name, running), replaced)
        yield
    finally:
        for module, attribute, hook in reversed(replaced):
            vars(module).pop(attribute, None)
            if hook is not None:
                setattr(module, attribute, hook)


def _replace(
    module: nn.Module, attribute: str, handler: Any, replaced: list[tuple[nn.Module, str, Any]]
) -> None:
    # Another library's hook may already stand where ours goes; it is called, and put back.
    replaced.append((module, attribute, vars(module).get(attribute)))
    setattr(module, attribute, handler)


@dataclass(frozen=True)
class _Handler:
    original: Callable[..., Tensor]
    site: Site
    memory: FeatureMemory | None
    running: Running
    coordinate: float

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        branches = self.running.branches
        computing = [i for i, one in enumerate(branches) if self._action(one) is None]
        if len(computing) == len(branches):
            output = self.original(hidden, *args, **kwargs)
            self._record(branches, hidden, output)
            return output
        parts = list(hidden.chunk(len(branches)))
        if computing:
            chosen = _Rows(computing, len(branches), len(hidden))
            self.running.branches = [branches[i] for i in computing]
            inputs = chosen.of(hidden)
            given = [chosen.of(value) for value in args]
            output = self.original(inputs, *given, **{k: chosen.of(v) for k, v in kwargs.items()})
            self._record(self.running.branches, inputs, output)
            self.running.branches = branches
            for i, rows in zip(computing, output.chunk(len(computing)), strict=True):
                parts[i] = rows
        for i, one in enumerate(branches):
            action = self._action(one)
            if action is not None:
                parts[i] = self._without(one, action, parts[i])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _action(self, one: Branch) -> Action | None:
        return one.actions.get(self.site.name)

    def _without(self, one: Branch, action: Action, hidden: Tensor) -> Tensor:
        """What stands in for the output of rows that do not compute."""
        if action.kind == "skip":
            return hidden if self.site.residual else torch.zeros_like(hidden)
        assert self.memory is not None
        feature = self.memory.get(one.name, self.site.name, self.coordinate, action.order)
        return hidden + feature if self.site.residual else feature

    def _record(self, computing: Sequence[Branch], hidden: Tensor, output: Tensor) -> None:
        if self.memory is None:
            return
        feature = output - hidden if self.site.residual else output
        for one, rows in zip(computing, feature.chunk(len(computing)), strict=True):
            self.memory.put(one.name, self.site.name, self.coordinate, rows)


@dataclass(frozen=True)
class _Rows:
    """The rows of some of the branches, in whatever has a row for each sample."""

    computing: Sequence[int]
    branches: int
    total: int

    def of(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dim() == 0 or len(value) != self.total:
            return value
        parts = value.chunk(self.branches)
        return torch.cat([parts[i] for i in self.computing])


@dataclass(frozen=True)
class PerturbedHeads:
    """Attention whose chosen heads move towards identity attention, in their branches' rows.

    Perturbed-attention guidance (Ahn et al. 2024) at the level of heads, with SoftPAG's strength u
    (Ahn et al. 2025): the map becomes ``(1 - u) A + u I``. As ``I V = V``, that is a step from the
    heads' output towards their values, and fused attention stays.
    """

    original: Callable[[Tensor, Tensor, Tensor], Tensor]
    site: str
    running: Running

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        branches = self.running.branches
        output = self.original(query, key, value)
        parts = list(output.chunk(len(branches)))
        values = value.chunk(len(branches))
        for i, one in enumerate(branches):
            chosen = dict(one.heads).get(self.site)
            if chosen:
                heads = list(chosen)
                parts[i] = parts[i].clone()
                parts[i][:, heads] = torch.lerp(
                    parts[i][:, heads], values[i][:, heads], one.strength
                )
        return parts[0] if len(parts) == 1 else torch.cat(parts)
