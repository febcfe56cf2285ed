"""A network of diffusers behind the denoiser's one call."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import InitVar, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from autosearch.diffusion.denoiser import InterceptedDenoiser
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites.branches import Branch
from autosearch.diffusion.sites.sites import Site
from autosearch.diffusion.sites.swapped import swapped
from autosearch.models.diffusers.conditions import Conditions, join_inputs
from autosearch.models.diffusers.families import PipelineFamily
from autosearch.models.diffusers.module_adapter import ModuleAdapter, bridge, is_acting
from autosearch.models.diffusers.site_specs import SiteSpec

__all__ = ["PipelineDenoiser", "plain_sites"]


@dataclass(kw_only=True, eq=False)
class PipelineDenoiser(InterceptedDenoiser):
    """A network of a pipeline, called as the pipeline calls it.

    States are kept in single precision, whatever the network's own; its inputs and outputs are
    converted. Variance channels that a network has beside its prediction are left out.

    Args:
        network: the module, in evaluation mode.
        family: its kind.
        site_specs: where its sites are.
        sites: its sites with what they cost.
        macs: multiply-accumulates of one full forward of one sample.
        schedule: the noise schedule that it was trained for.
        prediction: what it predicts.
        sample_shape: the shape of one state.
        given: what the branches are given.
        classes: how many labels there are: classes or prompts.
    """

    dtype = torch.float32
    weights = ""

    network: nn.Module = field(kw_only=False)
    family: PipelineFamily = field(kw_only=False)
    site_specs: InitVar[Sequence[SiteSpec]]
    sites: tuple[Site, ...]
    macs: int
    schedule: NoiseSchedule
    prediction: Prediction
    sample_shape: tuple[int, ...]
    given: InitVar[Conditions]
    classes: int

    def __post_init__(self, site_specs: Sequence[SiteSpec], given: Conditions) -> None:
        self.set_conditions(given)
        self.set_network(self.network, site_specs)

    def set_network(self, network: nn.Module, site_specs: Sequence[SiteSpec]) -> None:
        """Take another network of the same configuration."""
        self.network = network
        self.modules: Mapping[str, ModuleAdapter] = {spec.name: spec.adapter for spec in site_specs}
        self._parents = {spec.name: spec.parent for spec in site_specs}
        self._compiled: dict[str, Callable[..., Any]] = {}
        self.heads = {spec.name: spec.heads for spec in site_specs if spec.heads}
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
        """Give the branches other conditions from now on."""
        self._conditions = conditions
        self.conditions = conditions.modes

    def with_conditions(
        self, conditions: Conditions, device: torch.device, dtype: torch.dtype
    ) -> "PipelineDenoiser":
        """A denoiser of the same network with other conditions.

        Args:
            conditions: of its branches.
            device: where the network computes, wherever its weights are stored.
            dtype: what it computes in, whatever they are stored in.
        """
        other = copy.copy(self)
        other.set_conditions(conditions)
        other.device, other.network_dtype = device, dtype
        return other

    def run(
        self, inputs: Tensor, times: Tensor, condition: Tensor | None, branches: Sequence[Branch]
    ) -> Tensor:
        shared = self._conditions.shared
        rows = [self._conditions.rows(one.condition, condition) for one in branches]
        with self._with_compiled(), bridge(self.modules):
            output: Tensor = self.network(
                **{self.family.state: inputs.to(self.network_dtype)},
                timestep=times * self._time_scale,
                **join_inputs(rows, shared, rows=len(inputs) // len(branches)),
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
            if self._compiled and is_acting(adapter):
                parent = self._parents[name]
                while parent is not None:
                    touched.add(parent)
                    parent = self._parents[parent]
        with ExitStack() as stack:
            for name, forward in self._compiled.items():
                if name not in touched:
                    module = self.modules[name].module
                    stack.enter_context(swapped(module, "forward", forward))
            yield


def plain_sites(site_specs: Sequence[SiteSpec]) -> tuple[Site, ...]:
    """Sites without what they cost, for running recipes and not for searching them."""
    return tuple(
        Site(spec.name, 0, 0, parent=spec.parent, residual=spec.residual) for spec in site_specs
    )
