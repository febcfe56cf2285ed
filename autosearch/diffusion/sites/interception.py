"""The one mechanism that intercepts a network: compute, reuse, forecast, skip, perturbed heads.

It is installed for one call and leaves nothing behind: each site's module gets a ``forward`` (or
an ``attend``) of its own for the duration, and loses it again, also after an exception.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.row_groups import Running, gather_rows, scatter_rows
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.diffusion.sites.swapped import swapped

__all__ = ["Mix", "PerturbedHeads", "intercepted"]


@dataclass(frozen=True)
class Mix:
    """A site's feature as a blend: ``weight * computed + (1 - weight) * instead``.

    What lets a gate or a router be learned by gradients, before it is a plain decision.

    Attributes:
        weight: one number, or one for each row of the batch.
        instead: what a row would do otherwise; None: nothing, as if the site were skipped.
    """

    weight: Tensor
    instead: Tensor | None = None

    def of(self, feature: Tensor) -> Tensor:
        """The blend with a computed feature [B, ...]."""
        weight = self.weight.reshape(-1, *([1] * (feature.dim() - 1)))
        mixed = weight * feature
        return mixed if self.instead is None else mixed + (1 - weight) * self.instead


@contextmanager
def intercepted(
    modules: Mapping[str, nn.Module],
    sites: SiteTable,
    *,
    branches: Sequence[Branch],
    memory: FeatureMemory | None,
    coordinate: float,
    mixes: Mapping[str, Mix] | None = None,
) -> Iterator[None]:
    """Run the body with the sites' modules doing what the branches say.

    The batch holds the branches one after the other, equally many rows each. ``coordinate``
    places this step on the axis along which features are forecast: the network's time. A site
    whose heads are perturbed is a module with a method ``attend(query, key, value)``, each
    [B, heads, tokens, head_dim].

    A tensor that a site's module is given has a row for each of the batch, or one for all.

    ``mixes``: by site, what the others see of its feature; what is stored is the computed one.
    """
    mixes = {} if mixes is None else mixes
    running = Running(sites, branches, memory, coordinate)
    perturbed = {site for one in branches for site, _ in one.heads}
    with ExitStack() as stack:
        for name, module in modules.items():
            if name in running.touched:
                handler = _Handler(module.forward, name, running)
                stack.enter_context(swapped(module, "forward", handler))
            if name in mixes:
                mixed = _Mixed(module.forward, mixes[name], residual=sites[name].residual)
                stack.enter_context(swapped(module, "forward", mixed))
            if name in perturbed:
                heads = PerturbedHeads(cast(Any, module).attend, name, running)
                stack.enter_context(swapped(module, "attend", heads))
        yield


@dataclass(frozen=True)
class _Handler:
    """Stands where a site's ``forward`` stood."""

    original: Callable[..., Tensor]
    name: str
    running: Running

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        running, name = self.running, self.name
        running.enter(name, hidden)
        output = self._output(hidden, args, kwargs)
        running.decide(name, hidden, output)
        running.record(name, hidden, output)
        return output

    def _output(self, hidden: Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        running, total = self.running, len(hidden)
        groups = running.groups(total)
        standing = [running.stand_in(group, self.name) for group in groups]
        if not any(standing):
            return self.original(hidden, *args, **kwargs)
        pieces = [
            (group.at, running.without(group, *instead, hidden[group.at]))
            for group, instead in zip(groups, standing, strict=True)
            if instead is not None
        ]
        computing = [group for group, instead in zip(groups, standing, strict=True) if not instead]
        if computing:
            with running.only(computing):
                output = self.original(
                    gather_rows(hidden, computing, total),
                    *(gather_rows(value, computing, total) for value in args),
                    **{key: gather_rows(value, computing, total) for key, value in kwargs.items()},
                )
            rows = torch.split(output, [group.size for group in computing])
            pieces += zip((group.at for group in computing), rows, strict=True)
        return scatter_rows(pieces, total)


@dataclass(frozen=True)
class _Mixed:
    """Stands where a site's ``forward`` stood, and blends what comes of it."""

    original: Callable[..., Tensor]
    mix: Mix
    residual: bool

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = self.original(hidden, *args, **kwargs)
        return hidden + self.mix.of(output - hidden) if self.residual else self.mix.of(output)


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
        output = self.original(query, key, value)
        whole = output.clone()
        for group in self.running.groups(len(query)):
            chosen = dict(group.branch.heads).get(self.site)
            if chosen:
                heads = list(chosen)
                rows = output[group.at].clone()
                rows[:, heads] = torch.lerp(
                    rows[:, heads], value[group.at][:, heads], group.branch.strength
                )
                whole[group.at] = rows
        return whole
