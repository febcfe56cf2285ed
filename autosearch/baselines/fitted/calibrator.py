"""A model that is measured: its samples, and a count of what measuring it costs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autosearch.diffusion.artifact_store import Provenance, pack_artifact
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.plan.reachability import saved_macs
from autosearch.diffusion.sampling.sampler import Network, State, trajectory
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.sites.sites import SiteTable
from autosearch.recipe import Artifact, Recipe

__all__ = ["Calibrator", "Sampled"]


@dataclass(frozen=True)
class Sampled:
    """A state [N, *sample_shape] of a recipe on its way, and the step that is next."""

    step: StepPlan
    x: Tensor


class Calibrator:
    """A denoiser to be measured on the calibration stream of one seed.

    Everything that the denoiser runs inside :meth:`counting` is counted.

    Attributes:
        denoiser: as loaded.
        seed: of all noise and of :attr:`generator`.
        macs: multiply-accumulates run so far.
        saved: those that were not run because an earlier fit on this worker left what was needed.
        files: artifacts kept, by their reference's key.
    """

    def __init__(self, denoiser: Denoiser, *, seed: int = 0) -> None:
        self.denoiser = denoiser
        self.seed = seed
        self.macs = 0.0
        self.saved = 0.0
        self.files: dict[str, bytes] = {}
        self.generator = torch.Generator().manual_seed(seed)
        self._starts: dict[int, Tensor] = {}

    @property
    def forward_equivalents(self) -> float:
        """The multiply-accumulates run so far, in forwards of one sample."""
        return self.macs / self.denoiser.macs

    @property
    def nominal(self) -> float:
        """The forwards where nothing is at hand: the same on any worker, in any order."""
        return (self.macs + self.saved) / self.denoiser.macs

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what the denoiser runs meanwhile, whoever calls it."""
        denoiser, inner, table = (
            self.denoiser,
            self.denoiser.denoise,
            SiteTable(self.denoiser.sites),
        )

        def counted(
            x: Tensor,
            t: float,
            condition: Tensor | None,
            *,
            branches: Sequence[Branch] = (COND,),
            memory: FeatureMemory | None = None,
        ) -> dict[str, Tensor]:
            run = sum(denoiser.macs - saved_macs(branch.actions, table) for branch in branches)
            self.macs += run * len(x)
            return inner(x, t, condition, branches=branches, memory=memory)

        denoiser.denoise = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            del denoiser.denoise  # the class's own shows again

    def count(self, forwards: float) -> None:
        """Count forwards of one sample that do not pass through ``denoise``, such as gradients."""
        self.macs += forwards * self.denoiser.macs

    def condition(self, samples: int) -> Tensor | None:
        """Labels [N], or None for an unconditional model."""
        if not self.denoiser.classes:
            return None
        return labels(range(samples), self.denoiser.classes).to(self.denoiser.device)

    def noise(self, samples: int, k: int = 0) -> Tensor:
        """Unit noise [N, *sample_shape]; ``k`` numbers independent draws."""
        if k == 0 and samples in self._starts:
            return self._starts[samples]
        drawn = draw(self.seed, Stream.CALIBRATION, range(samples), self.denoiser.sample_shape, k=k)
        noise = drawn.to(device=self.denoiser.device, dtype=self.denoiser.dtype)
        if k == 0:
            # A descent begins from the same noise thousands of times.
            self._starts = {samples: noise}
        return noise

    def plan(self, recipe: Recipe) -> Plan:
        """The plan of a recipe on the denoiser."""
        return compile_recipe(recipe, self.denoiser)

    def states(self, recipe: Recipe, samples: int) -> list[State]:
        """The start and the states [N, *sample_shape] after each step of a recipe."""
        with torch.inference_mode():
            return list(
                trajectory(
                    self.denoiser,
                    self.plan(recipe),
                    self.noise(samples),
                    self.condition(samples),
                    step_noise=lambda k: self.noise(samples, k),
                )
            )

    def evaluation_states(self, recipe: Recipe, samples: int) -> list[Sampled]:
        """The state at which each step of a recipe evaluates the network."""
        steps = self.plan(recipe).steps
        return [
            Sampled(step, state.x)
            for step, state in zip(steps, self.states(recipe, samples), strict=False)
        ]

    def network(self, samples: int, memory: FeatureMemory | None = None) -> Network:
        """The denoiser as the sampler asks it, guidance included."""
        return Network(self.denoiser, self.condition(samples), memory)

    def keep(
        self, method: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> Artifact:
        """Keep tensors as an artifact, also in the artifact store; returns its reference."""
        provenance = Provenance(method, settings, self.denoiser.weights, self.seed)
        artifact, content = pack_artifact(provenance, tensors)
        self.add(artifact, content)
        return artifact

    def add(self, artifact: Artifact, content: bytes) -> None:
        """Keep the file of an artifact, also in the denoiser's artifact store."""
        self.files[artifact.key] = content
        self.denoiser.artifact_store.add(artifact.key, content)
