"""A model that is measured: its samples, and a count of what measuring it costs."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autosearch.diffusion.artifact_store import ArtifactStore, Provenance, pack_artifact
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.sampling.call_cache import CallCache, Recaller, make_call_cache
from autosearch.diffusion.sampling.call_keys import calls_of
from autosearch.diffusion.sampling.counting_denoiser import CountingDenoiser
from autosearch.diffusion.sampling.sampler import Network, State, trajectory
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.recipe import Artifact, Recipe

__all__ = ["Calibrator", "Sampled"]


@dataclass(frozen=True)
class Sampled:
    """A state [N, *sample_shape] of a recipe on its way, and the step that is next."""

    step: StepPlan
    x: Tensor


class Calibrator:
    """A denoiser to be measured on the calibration stream of one seed, and what that took.

    Counted is what is run through its methods; what a fit runs on the denoiser itself, such as
    gradients, it is told.

    Args:
        artifact_store: where artifacts are found, and kept; by default in memory.
        call_cache: what earlier measurements of the denoiser left of the network's outputs on
            trajectories that several fits need; by default a new one. It changes no result.

    Attributes:
        denoiser: as loaded, or with the weights of a recipe.
        seed: of all noise and of :attr:`generator`.
        files: artifacts kept, by their reference's key.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        artifact_store: ArtifactStore | None = None,
        *,
        seed: int = 0,
        call_cache: CallCache | None = None,
    ) -> None:
        self.denoiser = denoiser
        self.artifact_store = ArtifactStore() if artifact_store is None else artifact_store
        self.seed = seed
        self.files: dict[str, bytes] = {}
        self.generator = torch.Generator().manual_seed(seed)
        self._call_cache = make_call_cache("auto") if call_cache is None else call_cache
        self._weights: str | None = None
        self._spent = _Spent()
        self._counted = CountingDenoiser(denoiser, self._spent.add)
        self._starts: dict[int, Tensor] = {}

    def with_weights(self, weights: Artifact | None) -> "Calibrator":
        """The denoiser with other weights, measured on the same account; itself without them."""
        if weights is None:
            return self
        other = copy.copy(self)
        other.denoiser = self.denoiser.with_weights(weights, self.artifact_store)
        other._counted = CountingDenoiser(other.denoiser, self._spent.add)
        other._weights = weights.sha256
        return other

    @property
    def forward_equivalents(self) -> float:
        """The multiply-accumulates run so far, in forwards of one sample."""
        return self._spent.macs / self.denoiser.macs

    @property
    def nominal(self) -> float:
        """The forwards where nothing is at hand: the same on any worker, in any order."""
        return self._spent.nominal / self.denoiser.macs

    def count(self, forwards: float) -> None:
        """Count forwards of one sample that a fit runs by itself, such as gradients."""
        self._spent.add(forwards * self.denoiser.macs)

    def count_macs(self, macs: float, *, nominal: float) -> None:
        """Count multiply-accumulates that a fit runs by itself.

        Args:
            macs: what was run.
            nominal: what is run where nothing was left by an earlier fit.
        """
        self._spent.add(macs, saved=nominal - macs)

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

    def states(self, recipe: Recipe, samples: int, *, keep: bool = False) -> list[State]:
        """The start and the states [N, *sample_shape] after each step of a recipe.

        Args:
            recipe: what is run.
            samples: how many, as one batch.
            keep: whether other fits may need the same trajectory: then it is run once.
        """
        plan = self.plan(recipe)
        recall = self._recall(plan, samples) if keep else None
        with torch.inference_mode():
            states = list(
                trajectory(
                    self._counted,
                    plan,
                    self.noise(samples),
                    self.condition(samples),
                    artifact_store=self.artifact_store,
                    step_noise=lambda k: self.noise(samples, k),
                    recall=recall,
                )
            )
        self._spent.add(0.0, saved=0.0 if recall is None else recall.avoided)
        return states

    def evaluation_states(self, recipe: Recipe, samples: int) -> list[Sampled]:
        """The state at which each step of a recipe evaluates the network."""
        states = self.states(recipe, samples, keep=True)
        return [
            Sampled(step, state.x)
            for step, state in zip(self.plan(recipe).steps, states, strict=False)
        ]

    def network(self, samples: int, memory: FeatureMemory | None = None) -> Network:
        """The denoiser as the sampler asks it, guidance included."""
        return Network(self._counted, self.condition(samples), memory)

    def keep(
        self, method: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> Artifact:
        """Keep tensors as an artifact, also in the artifact store; returns its reference."""
        provenance = Provenance(method, settings, self.denoiser.weights, self.seed)
        artifact, content = pack_artifact(provenance, tensors)
        self.add(artifact, content)
        return artifact

    def add(self, artifact: Artifact, content: bytes) -> None:
        """Keep the file of an artifact, also in the artifact store."""
        self.files[artifact.key] = content
        self.artifact_store.add(artifact.key, content)

    def _recall(self, plan: Plan, samples: int) -> Recaller | None:
        if self._call_cache is None:
            return None
        denoiser = self.denoiser
        of_model = (denoiser.weights, self._weights, str(denoiser.device), str(denoiser.dtype))
        batch = (self.seed, Stream.CALIBRATION, samples, of_model)
        calls = calls_of(plan, denoiser)
        return Recaller(self._call_cache, calls, batch, device=denoiser.device)


@dataclass
class _Spent:
    """Multiply-accumulates that were run, and those where nothing is at hand."""

    macs: float = 0.0
    nominal: float = 0.0

    def add(self, macs: float, *, saved: float = 0.0) -> None:
        self.macs += macs
        self.nominal += macs + saved
