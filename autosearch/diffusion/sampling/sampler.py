"""The sampling loop: one generator that yields each state."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autosearch.diffusion.artifact_store import ArtifactStore, Recent
from autosearch.diffusion.classifier import classifier_shift
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.sampling.stepper import StepNoise, Stepper, weighted_sum
from autosearch.diffusion.sites.memory import FeatureMemory, RowMemory
from autosearch.diffusion.solvers import Evaluation, Statistics
from autosearch.diffusion.solvers.forms.v3 import STATISTICS
from autosearch.errors import UserError
from autosearch.recipe import Artifact

__all__ = [
    "Network",
    "Recall",
    "State",
    "last_state",
    "plan_statistics",
    "sample",
    "sample_indices",
    "trajectory",
]

# Gives what a call of the network returns, by its branches: from an earlier run of the same call,
# with what that one stored in the memory, or by making it with that memory.
Recall = Callable[
    [Callable[[FeatureMemory | None], dict[str, Tensor]], FeatureMemory | None], dict[str, Tensor]
]

# By content and device, with the integrals that were computed so far.
_STATISTICS: Recent[tuple[str, str], Statistics] = Recent()


@dataclass(frozen=True)
class State:
    """The samples between two steps.

    Attributes:
        step: how many steps are complete.
        log_snr: half log-SNR, log(alpha/sigma), of the samples.
        x: [N, *sample_shape].
        evaluation: what the last step evaluated; None at the start.
        saved: [N] multiply-accumulates that gates avoided for each sample so far; None without
            gates.
    """

    step: int
    log_snr: float
    x: Tensor
    evaluation: Evaluation | None
    saved: Tensor | None = None


def trajectory(
    denoiser: Denoiser,
    plan: Plan,
    noise: Tensor,
    condition: Tensor | None,
    *,
    artifact_store: ArtifactStore | None = None,
    step_noise: StepNoise | None = None,
    history: Sequence[Evaluation] = (),
    recall: Recall | None = None,
) -> Iterator[State]:
    """Run a plan, yielding the start and the state after each step.

    Args:
        denoiser: the model that the plan was compiled for.
        plan: the steps.
        noise: [N, *sample_shape] unit noise; scaled by the plan's start.
        condition: [N] labels or None.
        artifact_store: holds the plan's artifacts; may be left out where it has none.
        step_noise: noise of stochastic steps; needed when the plan has any.
        history: evaluations before the first step, oldest first, for exact starting values.
        recall: asked in place of the network, once for each call of it in order.
    """
    store = ArtifactStore() if artifact_store is None else artifact_store
    memory = plan.new_memory(len(noise))
    weighted = denoiser.with_weights(_weights(plan, store), store)
    network = Network(weighted, condition, memory, recall)
    start = plan.start_scale * noise
    stepper = Stepper(
        plan,
        denoiser.schedule,
        start,
        step_noise=step_noise,
        history=history,
        statistics=plan_statistics(plan, denoiser, store),
    )
    yield State(0, stepper.log_snr, stepper.x, None)
    while not stepper.finished:
        if stepper.tell(network.evaluate(stepper.step, stepper.x)):
            saved = memory.saved.clone() if isinstance(memory, RowMemory) else None
            yield State(stepper.done, stepper.log_snr, stepper.x, stepper.newest, saved)


def _weights(plan: Plan, artifact_store: ArtifactStore) -> Artifact | None:
    """The weights of a plan, where they are others than the denoiser's own."""
    if plan.training is None:
        return plan.weights
    weights = artifact_store.find(plan.training.provenance)
    if weights is None:
        raise UserError(
            f"artifact {plan.training.provenance.key}.safetensors (recover): these weights are not "
            "there yet; autosearch evaluate RECIPE trains them"
        )
    return weights


def sample(
    denoiser: Denoiser,
    plan: Plan,
    noise: Tensor,
    condition: Tensor | None,
    **settings: Any,
) -> Tensor:
    """The samples [N, *sample_shape] that :func:`trajectory` ends with, with its settings."""
    return last_state(denoiser, plan, noise, condition, **settings).x


def last_state(
    denoiser: Denoiser, plan: Plan, noise: Tensor, condition: Tensor | None, **settings: Any
) -> State:
    """The last state of :func:`trajectory`, with its settings."""
    return deque(trajectory(denoiser, plan, noise, condition, **settings), maxlen=1)[0]


def sample_indices(
    denoiser: Denoiser,
    plan: Plan,
    indices: Sequence[int],
    *,
    seed: int,
    stream: Stream,
    artifact_store: ArtifactStore | None = None,
) -> Tensor:
    """Samples [N, *sample_shape] whose noise and labels follow from their indices."""

    def noise(k: int) -> Tensor:
        drawn = draw(seed, stream, indices, denoiser.sample_shape, k=k)
        return drawn.to(device=denoiser.device, dtype=denoiser.dtype)

    condition = labels(indices, denoiser.classes).to(denoiser.device) if denoiser.classes else None
    with torch.inference_mode():
        settings = {"artifact_store": artifact_store, "step_noise": noise}
        return sample(denoiser, plan, noise(0), condition, **settings)


def plan_statistics(
    plan: Plan, denoiser: Denoiser, artifact_store: ArtifactStore
) -> Statistics | None:
    """The model's statistics that steps of form ``v3`` need, in double precision.

    None where there is no such step.

    Raises:
        UserError: when they are missing, damaged or of another kind of model.
    """
    artifact = dict(plan.artifacts).get(STATISTICS)
    if artifact is None:
        return None
    key = (artifact.sha256, str(denoiser.device))

    def make() -> Statistics:
        tensors = artifact_store.on(artifact, denoiser.device, torch.float64)
        where = f"artifact {artifact.key}.safetensors"
        return Statistics.from_tensors(tensors, shape=denoiser.sample_shape, where=where)

    return _STATISTICS.hold(key, make)


@dataclass(frozen=True)
class Network:
    """The denoiser of one run: evaluates a step, guidance included.

    Attributes:
        denoiser: the model.
        condition: [N] labels, or None for an unconditional model.
        memory: features that steps store and look up.
        recall: asked in place of the network.
    """

    denoiser: Denoiser
    condition: Tensor | None
    memory: FeatureMemory | None
    recall: Recall | None = None

    def evaluate(self, step: StepPlan, x: Tensor) -> Evaluation:
        """Clean data and noise [N, *sample_shape] at the start of a step, from its state ``x``."""
        schedule = self.denoiser.schedule
        alpha, sigma = schedule.alpha_sigma(step.log_snr)
        if step.evaluate != "network":
            data = self._analytic_data(step, x)
            return Evaluation(step.log_snr, x, data, (x - alpha * data) / sigma)
        outputs = self._outputs(step, x)
        if step.rectify is not None:
            factor, offset = step.rectify
            outputs = {name: factor * output + offset for name, output in outputs.items()}
        if step.scaling is not None:
            outputs = {name: step.scaling[0] * output for name, output in outputs.items()}
            x = step.scaling[1] * x
        # The weights add up to 1, so the sum is the same in any prediction type.
        parts = [outputs[branch.name] for branch in step.branches]
        guided = weighted_sum(zip(step.weights, parts, strict=True))
        kind = self.denoiser.prediction
        data, noise = to_data_and_noise(kind, guided, x, alpha, sigma)
        if step.classifier:
            shift = self._classifier_shift(step, data, alpha, sigma)
            data = data + shift
            noise = None if noise is None else noise.sub(shift, alpha=alpha / sigma)
        if step.clip is not None:
            data = data.clamp(-step.clip, step.clip)
            noise = (x - alpha * data) / sigma
        unguided = None
        if step.renoise is not None:
            other = to_data_and_noise(kind, outputs[step.renoise], x, alpha, sigma)
            unguided = Evaluation(step.log_snr, x, *other)
        return Evaluation(step.log_snr, x, data, noise, unguided)

    def _outputs(self, step: StepPlan, x: Tensor) -> dict[str, Tensor]:
        """The network's prediction of each branch, from a call made now or before."""

        def call(memory: FeatureMemory | None) -> dict[str, Tensor]:
            return self.denoiser.denoise(
                x, step.time, self.condition, branches=step.branches, memory=memory
            )

        return call(self.memory) if self.recall is None else self.recall(call, self.memory)

    def _classifier_shift(self, step: StepPlan, data: Tensor, alpha: float, sigma: float) -> Tensor:
        """What the classifier adds to the data."""
        classifier, labels = self.denoiser.classifier, self.condition
        assert classifier is not None  # checked when the plan was made
        assert labels is not None
        return classifier_shift(classifier, step.classifier, data, labels, alpha=alpha, sigma=sigma)

    def _analytic_data(self, step: StepPlan, x: Tensor) -> Tensor:
        """What an analytic first step takes the data to be."""
        if step.evaluate == "zero_x0":
            return torch.zeros_like(x)
        mean = self.denoiser.data_mean
        assert mean is not None  # checked when the plan was made
        return mean.to(device=x.device, dtype=x.dtype).expand_as(x)
