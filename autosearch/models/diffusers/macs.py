"""Multiply-accumulates and feature sizes of a network's sites, without running it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.diffusion.macs import count_macs
from autosearch.diffusion.sites.sites import Site
from autosearch.models.diffusers.families import PipelineFamily, Shapes
from autosearch.models.diffusers.site_specs import SiteSpec

__all__ = ["Counts", "count"]


@dataclass(frozen=True)
class Counts:
    """Multiply-accumulates of one full forward of one sample, and the sites with theirs."""

    macs: int
    sites: tuple[Site, ...]


def count(
    network: nn.Module,
    family: PipelineFamily,
    site_specs: Sequence[SiteSpec],
    *,
    sample_shape: tuple[int, ...],
    inputs: Shapes,
) -> Counts:
    """Count on the meta device, where tensors have shapes and no values.

    Args:
        network: the network, on the meta device.
        family: its kind.
        site_specs: where its sites are.
        sample_shape: the shape of one state.
        inputs: shapes of what it is given besides the state and the time.
    """
    given = {
        family.state: _empty(sample_shape),
        "timestep": _empty(()),
        **{name: _meta(name, shape, family) for name, shape in inputs.items()},
    }
    elements: dict[str, int] = {}
    with ExitStack() as stack, torch.no_grad(), count_macs() as counter:
        for spec in site_specs:
            hook = _measure(spec, elements)
            handle = spec.module.register_forward_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        network(**given)
    names = {module: name for name, module in network.named_modules()}
    kind = type(network).__name__
    sites = tuple(
        Site(
            spec.name,
            counter.of(f"{kind}.{names[spec.module]}"),
            elements[spec.name],
            parent=spec.parent,
            residual=spec.residual,
        )
        for spec in site_specs
    )
    return Counts(counter.total, sites)


def _measure(spec: SiteSpec, elements: dict[str, int]) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        elements[spec.name] = spec.adapter.elements(args, kwargs, output)

    return hook


def _meta(name: str, shape: Any, family: PipelineFamily) -> Any:
    if isinstance(shape, Mapping):
        return {inner: _meta(inner, value, family) for inner, value in shape.items()}
    if shape is None:
        return None
    if name in family.shared:
        return torch.empty(shape, device="meta")
    made = _empty(shape)
    return made.long() if name == "class_labels" else made


def _empty(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(1, *shape, device="meta")
