"""The sampling loop: one generator that yields each state."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites import FeatureMemory
from autosearch.diffusion.solvers import Evaluation, Interval, Update, coefficients
from autosearch.plan import Plan, StepPlan

__all__ = ["State", "sample", "sample_indices", "trajectory"]

# Gives the noise [N, *sample_shape] that step k >= 1 adds.
StepNoise = Callable[[int], Tensor]


@dataclass(frozen=True)
class State:
    """The sample after ``step`` steps, at ``log_snr``; ``evaluation`` is what the step saw."""

    step: int
    log_snr: float
    x: Tensor
    evaluation: Evaluation | None


def trajectory(
    denoiser: Denoiser,
    plan: Plan,
    noise: Tensor,
    condition: Tensor | None,
    *,
    step_noise: StepNoise | None = None,
    history: Sequence[Evaluation] = (),
) -> Iterator[State]:
    """Run a plan, yielding the start and the state after each step.

    Args:
        noise: [N, *sample_shape] unit noise; scaled by the plan's start.
        condition: [N] labels or None.
        step_noise: noise of stochastic steps; needed when the plan has any.
        history: evaluations before the first step, oldest first, for exact starting values.
    """
    x = plan.start_scale * noise
    network = _Network(denoiser, condition, FeatureMemory(plan.keep) if plan.keep else None)
    depth = max(step.depth for step in plan.steps) + 1
    past = list(history)
    drawn: Tensor | None = None
    yield State(0, plan.steps[0].log_snr, x, None)
    for k, step in enumerate(plan.steps, start=1):
        past = [*past[-depth:], network.evaluate(step, x)]
        if k > 1 and (previous := plan.steps[k - 2]).corrector is not None:
            past[-1] = _corrected(network, previous, step, past, drawn)
        drawn = _step_noise(step, k, step_noise)
        x = _advance(
            denoiser.schedule, step.update, past, step.next_log_snr, eta=step.eta, noise=drawn
        )
        yield State(k, step.next_log_snr, x, past[-1])


def sample(
    denoiser: Denoiser,
    plan: Plan,
    noise: Tensor,
    condition: Tensor | None,
    *,
    step_noise: StepNoise | None = None,
) -> Tensor:
    """The last state of :func:`trajectory`."""
    states = trajectory(denoiser, plan, noise, condition, step_noise=step_noise)
    return deque(states, maxlen=1)[0].x


def sample_indices(
    denoiser: Denoiser, plan: Plan, indices: Sequence[int], *, seed: int, stream: Stream
) -> Tensor:
    """Samples [N, *sample_shape] whose noise and labels follow from their indices."""

    def noise(k: int) -> Tensor:
        drawn = draw(seed, stream, indices, denoiser.sample_shape, k=k)
        return drawn.to(device=denoiser.device, dtype=denoiser.dtype)

    condition = labels(indices, denoiser.classes).to(denoiser.device) if denoiser.classes else None
    with torch.inference_mode():
        return sample(denoiser, plan, noise(0), condition, step_noise=noise)


@dataclass(frozen=True)
class _Network:
    """The denoiser of one run."""

    denoiser: Denoiser
    condition: Tensor | None
    memory: FeatureMemory | None

    def evaluate(self, step: StepPlan, x: Tensor) -> Evaluation:
        """Clean data and noise at the start of a step."""
        schedule = self.denoiser.schedule
        alpha, sigma = schedule.alpha_sigma(step.log_snr)
        if step.evaluate != "network":
            data = self._known_data(step, x)
            return Evaluation(step.log_snr, x, data, (x - alpha * data) / sigma)
        outputs = self.denoiser.denoise(
            x, step.time, self.condition, branches=step.branches, memory=self.memory
        )
        # The weights add up to 1, so the sum is the same in any prediction type.
        guided = _weighted([outputs[b.name] for b in step.branches], step.weights)
        kind = self.denoiser.prediction
        data, noise = to_data_and_noise(kind, guided, x, alpha, sigma)
        if step.clip is not None:
            data = data.clamp(-step.clip, step.clip)
            noise = (x - alpha * data) / sigma
        unguided = None
        if step.renoise is not None:
            other = to_data_and_noise(kind, outputs[step.renoise], x, alpha, sigma)
            unguided = Evaluation(step.log_snr, x, *other)
        return Evaluation(step.log_snr, x, data, noise, unguided)

    def _known_data(self, step: StepPlan, x: Tensor) -> Tensor:
        """What an analytic first step takes the data to be."""
        if step.evaluate == "zero_x0":
            return torch.zeros_like(x)
        mean = self.denoiser.data_mean
        assert mean is not None  # checked when the plan was made
        return mean.to(device=x.device, dtype=x.dtype).expand_as(x)


def _weighted(outputs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = outputs[0] if weights[0] == 1 else weights[0] * outputs[0]
    for output, weight in zip(outputs[1:], weights[1:], strict=True):
        if weight:
            total = total.add(output, alpha=weight)
    return total


def _corrected(
    network: _Network,
    previous: StepPlan,
    step: StepPlan,
    past: Sequence[Evaluation],
    noise: Tensor | None,
) -> Evaluation:
    """The point at the start of ``step``, its state corrected with what was evaluated there."""
    corrector = previous.corrector
    assert corrector is not None
    schedule = network.denoiser.schedule
    x = _advance(
        schedule, corrector.update, past, step.log_snr, eta=previous.eta, noise=noise, ahead=True
    )
    if corrector.kind == "implicit":
        return network.evaluate(step, x)
    return replace(past[-1], x=x)


def _step_noise(step: StepPlan, k: int, step_noise: StepNoise | None) -> Tensor | None:
    if step.eta == 0:
        return None
    if step_noise is None:
        raise ValueError("a stochastic plan needs step_noise")
    return step_noise(k)


def _advance(
    schedule: NoiseSchedule,
    update: Update,
    past: Sequence[Evaluation],
    end: float,
    *,
    eta: float,
    noise: Tensor | None,
    ahead: bool = False,
) -> Tensor:
    """The state at log-SNR ``end``; ``ahead``: the newest evaluation is the one there, index 0."""
    shift = -1 if ahead else 0
    points = {index: past[index + shift] for index in update.used}
    start = points[update.start]
    interval = Interval(
        start.log_snr, end, *schedule.alpha_sigma(start.log_snr), *schedule.alpha_sigma(end)
    )
    found = coefficients(
        update,
        interval,
        {index: point.log_snr for index, point in points.items()},
        eta=eta,
        schedule=schedule,
    )
    predictions = {
        index: _prediction(point, update, older=index < update.start)
        for index, point in points.items()
    }
    x = found.combine(start.x, predictions, noise)
    if start.unguided is not None and start.noise is not None:
        # CFG++: the noise that stays is the unguided one's.
        assert start.unguided.noise is not None
        x = x.add(start.unguided.noise - start.noise, alpha=found.kept)
    return x


def _prediction(point: Evaluation, update: Update, *, older: bool) -> Tensor | None:
    """What is integrated; of earlier evaluations that renoise, their unguided prediction.

    The released CFG++ code does so in DPM-Solver++(2M) for Stable Diffusion 1.5; that for SDXL
    also takes the difference from the unguided newest.
    """
    said = point.unguided if older and point.unguided is not None else point
    return said.data if update.prediction == "data" else said.noise
