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

from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.row_groups import Running, gathered, scattered
from autosearch.diffusion.sites.sites import SiteTable

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
    replaced: list[tuple[nn.Module, str, Any]] = []
    try:
        for name, module in modules.items():
            if name in running.touched:
                _replace(module, "forward", _Handler(module.forward, name, running), replaced)
            if name in mixes:
                mixed = _Mixed(module.forward, mixes[name], residual=sites[name].residual)
                _replace(module, "forward", mixed, replaced)
            if name in perturbed:
                attend: Any = module.attend
                _replace(module, "attend", PerturbedHeads(attend, name, running), replaced)
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


class _Handler:
    """Stands where a site's ``forward`` stood."""

    def __init__(self, original: Callable[..., Tensor], name: str, running: Running) -> None:
        self._original = original
        self._name = name
        self._running = running

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        running, name = self._running, self._name
        running.enter(name, hidden)
        output = self._output(hidden, args, kwargs)
        running.decide(name, hidden, output)
        running.record(name, hidden, output)
        return output

    def _output(self, hidden: Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        running, total = self._running, len(hidden)
        groups = running.groups(total)
        standing = [running.stand_in(group, self._name) for group in groups]
        if not any(standing):
            return self._original(hidden, *args, **kwargs)
        pieces = [
            (group.at, running.without(group, *instead, hidden[group.at]))
            for group, instead in zip(groups, standing, strict=True)
            if instead is not None
        ]
        computing = [group for group, instead in zip(groups, standing, strict=True) if not instead]
        if computing:
            with running.only(computing):
                output = self._original(
                    gathered(hidden, computing, total),
                    *(gathered(value, computing, total) for value in args),
                    **{key: gathered(value, computing, total) for key, value in kwargs.items()},
                )
            rows = output.split([group.size for group in computing])
            pieces += zip((group.at for group in computing), rows, strict=True)
        return scattered(pieces, total)


class _Mixed:
    """Stands where a site's ``forward`` stood, and blends what comes of it."""

    def __init__(self, original: Callable[..., Tensor], mix: Mix, *, residual: bool) -> None:
        self._original = original
        self._mix = mix
        self._residual = residual

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        output = self._original(hidden, *args, **kwargs)
        return hidden + self._mix.of(output - hidden) if self._residual else self._mix.of(output)


class PerturbedHeads:
    """Attention whose chosen heads move towards identity attention, in their branches' rows.

    Perturbed-attention guidance (Ahn et al. 2024) at the level of heads, with SoftPAG's strength u
    (Ahn et al. 2025): the map becomes ``(1 - u) A + u I``. As ``I V = V``, that is a step from the
    heads' output towards their values, and fused attention stays.
    """

    def __init__(
        self, original: Callable[[Tensor, Tensor, Tensor], Tensor], site: str, running: Running
    ) -> None:
        self._original = original
        self._site = site
        self._running = running

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = self._original(query, key, value)
        whole = output.clone()
        for group in self._running.groups(len(query)):
            chosen = dict(group.branch.heads).get(self._site)
            if chosen:
                heads = list(chosen)
                rows = output[group.at].clone()
                rows[:, heads] = torch.lerp(
                    rows[:, heads], value[group.at][:, heads], group.branch.strength
                )
                whole[group.at] = rows
        return whole
