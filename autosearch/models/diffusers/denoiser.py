"""A network of diffusers behind the denoiser's one call."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.diffusion.denoiser import InterceptedDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.sites import Site
from autosearch.models.diffusers.conditions import Conditions, joined
from autosearch.models.diffusers.families import PipelineFamily
from autosearch.models.diffusers.module_adapter import ModuleAdapter, acting, bridged
from autosearch.models.diffusers.site_specs import SiteSpec

__all__ = ["PipelineDenoiser", "plain_sites"]


class PipelineDenoiser(InterceptedDenoiser):
    """A network of a pipeline, called as the pipeline calls it.

    States are kept in single precision, whatever the network's own; its inputs and outputs are
    converted. Variance channels that a network has beside its prediction are left out.

    Args:
        network: the module, in evaluation mode.
        family: its kind.
        places: its sites.
        sites: the same with what they cost.
        conditions: what the branches are given.
        classes: how many labels there are: classes or prompts.
    """

    dtype = torch.float32
    weights = ""

    def __init__(
        self,
        network: nn.Module,
        family: PipelineFamily,
        *,
        site_specs: Sequence[SiteSpec],
        sites: Sequence[Site],
        macs: int,
        schedule: NoiseSchedule,
        prediction: Prediction,
        sample_shape: tuple[int, ...],
        conditions: Conditions,
        classes: int,
    ) -> None:
        self.family = family
        self.schedule = schedule
        self.prediction = prediction
        self.sample_shape = sample_shape
        self.classes = classes
        self.sites = tuple(sites)
        self.macs = macs
        self.set_conditions(conditions)
        self.set_network(network, site_specs)

    def set_network(self, network: nn.Module, site_specs: Sequence[SiteSpec]) -> None:
        """Take another network of the same configuration."""
        self.network = network
        self.modules: Mapping[str, ModuleAdapter] = {
            place.name: place.adapter() for place in site_specs
        }
        self._parents = {place.name: place.parent for place in site_specs}
        self._compiled: dict[str, Callable[..., Any]] = {}
        self.heads = {place.name: place.heads for place in site_specs if place.heads}
        parameter = next(network.parameters())
        self.device, self.network_dtype = parameter.device, parameter.dtype
        config: Any = network.config
        self._time_scale = self.family.time_scale(config)

    def compile(self) -> None:
        """Let the outermost sites go through ``torch.compile`` where nothing acts inside them."""
        self._compiled = {
            name: torch.compile(self.modules[name].module.forward)
            for name, parent in self._parents.items()
            if parent is None
        }

    def set_conditions(self, conditions: Conditions) -> None:
        """Take others."""
        self._conditions = conditions
        self.conditions = conditions.modes

    def with_conditions(self, conditions: Conditions) -> "PipelineDenoiser":
        """The same network with other conditions."""
        made = copy.copy(self)
        made.set_conditions(conditions)
        return made

    def run(
        self, inputs: Tensor, times: Tensor, condition: Tensor | None, branches: Sequence[Branch]
    ) -> Tensor:
        shared = self._conditions.shared
        rows = [self._conditions.rows(one.condition, condition) for one in branches]
        with self._with_compiled(), bridged(self.modules):
            output: Tensor = self.network(
                **{self.family.state: inputs.to(self.network_dtype)},
                timestep=times * self._time_scale,
                **joined(rows, shared),
                return_dict=False,
            )[0]
        if output.shape[1] != inputs.shape[1]:
            output = output[:, : inputs.shape[1]]
        return output.to(self.dtype)

    @contextmanager
    def _with_compiled(self) -> Iterator[None]:
        """Run the body with compiled blocks, but for those inside which something acts."""
        touched: set[str] = set()
        for name, adapter in self.modules.items():
            if self._compiled and acting(adapter):
                parent = self._parents[name]
                while parent is not None:
                    touched.add(parent)
                    parent = self._parents[parent]
        chosen = [name for name in self._compiled if name not in touched]
        modules = [self.modules[name].module for name in chosen]
        for module, name in zip(modules, chosen, strict=True):
            module.forward = self._compiled[name]
        try:
            yield
        finally:
            for module in modules:
                del module.forward


def plain_sites(site_specs: Sequence[SiteSpec]) -> list[Site]:
    """Sites without what they cost, for running recipes and not for searching them."""
    return [
        Site(place.name, 0, 0, parent=place.parent, residual=place.residual) for place in site_specs
    ]
