"""The sampling loop: one generator that yields each state."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.sites import FeatureMemory
from autosearch.diffusion.solvers import (
    Evaluation,
    Interval,
    deterministic,
    second_order,
    stochastic,
)
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
    memory = FeatureMemory(plan.keep) if plan.keep else None
    past = list(history)
    yield State(0, plan.steps[0].log_snr, x, None)
    for k, step in enumerate(plan.steps, start=1):
        past = [*past[-1:], _evaluate(denoiser, step, x, condition, memory)]
        drawn = _step_noise(step, k, step_noise)
        x = _advance(denoiser.schedule, step, x, past, noise=drawn)
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


def _evaluate(
    denoiser: Denoiser,
    step: StepPlan,
    x: Tensor,
    condition: Tensor | None,
    memory: FeatureMemory | None,
) -> Evaluation:
    output = denoiser.denoise(x, step.time, condition, actions=step.actions, memory=memory)
    alpha, sigma = denoiser.schedule.alpha_sigma(step.log_snr)
    data, noise = to_data_and_noise(denoiser.prediction, output["cond"], x, alpha, sigma)
    if step.clip is not None:
        data = data.clamp(-step.clip, step.clip)
        noise = (x - alpha * data) / sigma
    return Evaluation(step.log_snr, data, noise)


def _step_noise(step: StepPlan, k: int, step_noise: StepNoise | None) -> Tensor | None:
    if step.eta == 0:
        return None
    if step_noise is None:
        raise ValueError("a stochastic plan needs step_noise")
    return step_noise(k)


def _advance(
    schedule: NoiseSchedule,
    step: StepPlan,
    x: Tensor,
    past: Sequence[Evaluation],
    *,
    noise: Tensor | None,
) -> Tensor:
    interval = Interval(
        step.log_snr,
        step.next_log_snr,
        *schedule.alpha_sigma(step.log_snr),
        *schedule.alpha_sigma(step.next_log_snr),
    )
    if step.order == 2:
        return second_order(x, past, interval, prediction=step.prediction, form=step.form)
    if noise is not None:
        return stochastic(x, past[-1].data, interval, eta=step.eta, noise=noise)
    return deterministic(x, past[-1].data, interval)
