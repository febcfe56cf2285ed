"""A model behind one call, with its noise schedule and its sites."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from autosearch.diffusion.artifact_store import ArtifactStore, Recent
from autosearch.diffusion.classifier import Classifier
from autosearch.diffusion.grids import OwnGrids
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.interception import Mix, intercepted
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import Site, SiteTable
from autosearch.errors import UserError
from autosearch.recipe import Artifact
from autosearch.recipe.actions import Action

__all__ = ["Denoiser", "InterceptedDenoiser", "NetworkDenoiser"]

_SKIP = Action("skip")


class Denoiser(ABC):
    """The one interface to every model, whatever library it comes from.

    Attributes:
        schedule: alpha, sigma and half log-SNR, log(alpha/sigma), of a real time, and the inverse.
        prediction: what :meth:`denoise` returns: ``noise``, ``data``, ``v`` or ``flow``.
        sample_shape: shape of one sample, without the batch.
        classes: number of class labels; 0 for an unconditional model.
        conditions: what a branch may be given: ``cond``, and ``uncond`` where there is such a mode.
        sites: in execution order, parents before children.
        heads: number of attention heads of each attention site.
        macs: multiply-accumulates of one full forward of one sample.
        weights: a digest of the weights, or of the parameters that define an exact denoiser.
        data_mean: mean of the training data [*sample_shape], where it is known.
        classifier: tells clean samples of the model's classes apart, where there is one.
        guidance_scale: of the classifier-free guidance that the model is usually run with; its
            baselines are guided by it at every step. None: they are not guided.
        own_grids: of the scheduler that it came with, which its baselines stand on; None: on those
            of the solvers' publications.
        own_scheduler: the class of diffusers of that scheduler; None: it came with none.
        recoverable: whether its weights can be others for a recipe; see :meth:`with_weights`.
    """

    schedule: NoiseSchedule
    prediction: Prediction
    sample_shape: tuple[int, ...]
    classes: int = 0
    conditions: tuple[str, ...] = ("cond",)
    sites: tuple[Site, ...] = ()
    heads: Mapping[str, int]
    macs: int
    weights: str
    dtype: torch.dtype = torch.float32
    device: torch.device = torch.device("cpu")
    data_mean: Tensor | None = None
    classifier: Classifier | None = None
    guidance_scale: float | None = None
    own_grids: OwnGrids | None = None
    own_scheduler: str | None = None
    recoverable: bool = False

    def with_weights(self, weights: Artifact | None, artifact_store: ArtifactStore) -> "Denoiser":
        """A denoiser with an artifact's tensors in place of its own; itself where there are none.

        Raises:
            UserError: for an artifact that is not in the store, or of another model.
        """
        assert weights is None  # refused when the plan was made
        return self

    @abstractmethod
    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        """The prediction of each branch for noisy samples.

        Args:
            x: [N, *sample_shape].
            t: the model's time, the same for all samples.
            condition: [N] labels, or None for an unconditional model.
            branches: which runs; all in one batch.
            memory: where computed features are kept and reused ones come from.

        Returns:
            A prediction [N, *sample_shape] for each branch, by its name.
        """


class InterceptedDenoiser(Denoiser):
    """A denoiser whose network is intercepted at its sites, all branches in one batch.

    Attributes:
        modules: the module of each site, by the site's name; see :func:`intercepted`.
    """

    modules: Mapping[str, Any]

    @abstractmethod
    def run(
        self, inputs: Tensor, times: Tensor, condition: Tensor | None, branches: Sequence[Branch]
    ) -> Tensor:
        """The network's predictions [B * N, *sample_shape], the branches' one after the other.

        Args:
            inputs: [B * N, *sample_shape].
            times: [B * N], the same everywhere, in single precision or better.
            condition: [N] labels, or None.
            branches: B of them.
        """

    @torch.inference_mode()
    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        many = len(branches)
        inputs = x if many == 1 else x.repeat(many, *([1] * (x.dim() - 1)))
        # Half-precision networks still get their time in full: bfloat16 has no 999.
        precise = torch.promote_types(self.dtype, torch.float32)
        times = torch.full((len(inputs),), t, dtype=precise, device=self.device)
        with intercepted(
            self.modules, self._by_name, branches=branches, memory=memory, coordinate=t
        ):
            output = self.run(inputs, times, condition, branches)
        return dict(zip((one.name for one in branches), output.chunk(many), strict=True))

    def differentiable(
        self,
        x: Tensor,
        times: Tensor,
        condition: Tensor | None,
        *,
        given: Literal["cond", "uncond"] = "cond",
        skipped: Collection[str] = (),
        mixes: Mapping[str, Mix] | None = None,
        memory: FeatureMemory | None = None,
    ) -> Tensor:
        """The prediction of one branch, with gradients where they are recorded.

        Args:
            x: [N, *sample_shape].
            times: [N] of the model, one for each sample.
            condition: [N] labels, or None for an unconditional model.
            given: whether the branch is given the condition.
            skipped: sites that are not run.
            mixes: sites whose features are blended.
            memory: where computed features are kept, under the first sample's time.
        """
        branch = Branch(given, given, sites=tuple((name, _SKIP) for name in skipped))
        with intercepted(
            self.modules,
            self._by_name,
            branches=(branch,),
            memory=memory,
            coordinate=float(times[0]),
            mixes=mixes,
        ):
            return self.run(x, times, condition, (branch,))

    @cached_property
    def _by_name(self) -> SiteTable:
        return SiteTable(self.sites)


@dataclass(kw_only=True, eq=False)
class NetworkDenoiser(InterceptedDenoiser):
    """A ``torch.nn.Module`` called as ``network(x, t [N], labels [N])``.

    Args:
        network: the module; put in evaluation mode, its weights frozen.
        modules: the sub-module of each site, by the site's name.
        null_label: the label that stands for "no condition", where the model has one.
    """

    recoverable = True

    network: nn.Module = field(kw_only=False)
    schedule: NoiseSchedule
    prediction: Prediction
    sample_shape: tuple[int, ...]
    classes: int
    null_label: int | None
    sites: tuple[Site, ...]
    modules: Mapping[str, nn.Module]
    heads: Mapping[str, int]
    macs: int
    weights: str
    data_mean: Tensor | None = None
    classifier: Classifier | None = None

    def __post_init__(self) -> None:
        self.network.eval().requires_grad_(False)
        self.conditions = ("cond",) if self.null_label is None else ("cond", "uncond")
        # Those of the model as loaded, and what was made of them: shared with what is.
        self._own = (self.network, self.modules)
        self._variants: Recent[str, NetworkDenoiser] = Recent()
        parameter = next(self.network.parameters())
        self.dtype, self.device = parameter.dtype, parameter.device

    def to(self, device: torch.device | str) -> "NetworkDenoiser":
        """Move the network; returns itself."""
        self.network.to(device)
        self.device = next(self.network.parameters()).device
        self._variants.clear()
        return self

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> "NetworkDenoiser":
        """A denoiser with some other parameters or buffers; its network shares the rest."""
        network, _ = self._own
        named = [*network.named_parameters(), *network.named_buffers()]
        shared: dict[int, Any] = {
            id(tensor): tensor for name, tensor in named if name not in tensors
        }
        other = copy.copy(self)
        other.network, other.modules = copy.deepcopy(self._own, shared)
        for name, tensor in [*other.network.named_parameters(), *other.network.named_buffers()]:
            if name in tensors:
                tensor.data = tensors[name]
        return other

    def with_weights(
        self, weights: Artifact | None, artifact_store: ArtifactStore
    ) -> "NetworkDenoiser":
        """As everywhere; the denoisers of the last few artifacts are held."""
        if weights is None:
            return self

        def make() -> NetworkDenoiser:
            # Held for later, when gradients may be asked for.
            with torch.inference_mode(False):
                tensors = artifact_store.on(weights, self.device, self.dtype)
                self._check(weights, tensors, artifact_store.provenance(weights))
                return self.with_tensors(tensors)

        return self._variants.hold(weights.sha256, make)

    def _check(
        self, weights: Artifact, tensors: Mapping[str, Tensor], provenance: Mapping[str, Any]
    ) -> None:
        own = self._own[0].state_dict()
        fits = all(name in own and own[name].shape == t.shape for name, t in tensors.items())
        if not fits or provenance.get("model") != self.weights:
            raise UserError(
                f"artifact {weights.key}.safetensors ({weights.method}): weights of another model "
                "than this one; take the model that the recipe was searched on"
            )

    def run(
        self, inputs: Tensor, times: Tensor, condition: Tensor | None, branches: Sequence[Branch]
    ) -> Tensor:
        assert condition is not None
        labels = torch.cat([self._labels(one, condition) for one in branches])
        output: Tensor = self.network(inputs, times, labels)
        return output

    def _labels(self, one: Branch, condition: Tensor) -> Tensor:
        if one.condition == "cond":
            return condition
        assert self.null_label is not None
        return torch.full_like(condition, self.null_label)
