"""A network as its own teacher: noised samples of its own, and what it says of them.

Pruning methods train on the data that a network was trained on. In general that is not at hand; a
network's samples are, and its predictions there are targets without noise. That is a deviation
wherever a method asks for data.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser, NetworkDenoiser
from autosearch.diffusion.noise import Stream, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.recovery import BATCH, POOL, POOL_STEPS
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.diffusion.schedules import NoiseSchedule

__all__ = ["Lesson", "Pool", "cosine", "course", "descend", "lessons", "pool"]

# Classifier-free training leaves the label out as often (Ho and Salimans 2022).
_UNLABELLED = 0.1
_SOLVER = "dpmpp_2m"
# As in TinyFusion.
_LARGEST_NORM = 1.0

# A course that takes more is made again whenever it is wanted.
_KEPT_BYTES = 2**28

_POOLS: WeakKeyDictionary[Denoiser, dict[int, "Pool"]] = WeakKeyDictionary()
_COURSES: WeakKeyDictionary[Denoiser, tuple[tuple[int, int], list["Lesson"]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Pool:
    """Samples of a network: [N, *sample_shape], labels [N].

    ``cost``: the multiply-accumulates that drawing them takes; ``macs``: those that it took now.
    """

    x: Tensor
    labels: Tensor | None
    cost: int
    macs: int


@dataclass(frozen=True)
class Lesson:
    """Noised samples [B, *sample_shape] at times [B], and the whole network's prediction."""

    x: Tensor
    times: Tensor
    labels: Tensor | None
    target: Tensor

    def loss(self, prediction: Tensor) -> Tensor:
        """Mean squared distance of a prediction."""
        return nn.functional.mse_loss(prediction, self.target)


def pool(denoiser: Denoiser, seed: int) -> Pool:
    """Samples of a cheap solver; kept, so that the next time they take nothing."""
    known = _POOLS.setdefault(denoiser, {})
    if seed in known:
        return replace(known[seed], macs=0)
    plan = compile_recipe(baseline(f"{_SOLVER}@{POOL_STEPS}", denoiser), denoiser)
    batches = [range(start, start + BATCH) for start in range(0, POOL, BATCH)]
    stream = Stream.RECOVERY
    parts = [sample_indices(denoiser, plan, batch, seed=seed, stream=stream) for batch in batches]
    # Outside inference, or nothing could be learned from them.
    cost = POOL * plan.macs
    known[seed] = Pool(
        torch.cat(parts).clone(),
        labels(range(POOL), denoiser.classes).to(denoiser.device) if denoiser.classes else None,
        cost=cost,
        macs=cost,
    )
    return known[seed]


def course(denoiser: NetworkDenoiser, seed: int, count: int) -> tuple[Iterable[Lesson], int]:
    """So many lessons that follow from a seed, and the multiply-accumulates that they take now.

    The last course is kept where it is small, as it is the same whatever is pruned.
    """
    known = _COURSES.get(denoiser)
    if known is not None and known[0] == (seed, count):
        return known[1], 0
    samples = pool(denoiser, seed)
    macs = samples.macs + count * BATCH * denoiser.macs
    found = lessons(denoiser, samples, torch.Generator().manual_seed(seed), count)
    if 2 * count * BATCH * samples.x[0].nbytes > _KEPT_BYTES:
        return found, macs
    _COURSES[denoiser] = ((seed, count), list(found))
    return _COURSES[denoiser][1], macs


def lessons(
    denoiser: NetworkDenoiser, samples: Pool, generator: torch.Generator, count: int
) -> Iterator[Lesson]:
    """So many batches; every sample comes once before any comes twice.

    Times are spread evenly over the model's, one in each of as many strata; a tenth of the labels
    is left out where the model can do without.
    """
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(count):
        if len(order) < BATCH:
            order = torch.randperm(POOL, generator=generator)
        rows, order = order.tensor_split([BATCH])
        shares = (torch.arange(BATCH) + torch.rand(BATCH, generator=generator)) / BATCH
        noise = torch.randn(BATCH, *denoiser.sample_shape, generator=generator)
        dropped = torch.rand(BATCH, generator=generator) < _UNLABELLED
        x, times = _noised(denoiser, samples.x[rows], noise, shares.tolist())
        given = None if samples.labels is None else samples.labels[rows]
        if given is not None and denoiser.null_label is not None:
            given = given.masked_fill(dropped.to(given.device), denoiser.null_label)
        with torch.no_grad():
            target = denoiser.differentiable(x, times, given)
        yield Lesson(x, times, given, target)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, learned: list[nn.Parameter]) -> None:
    """One step of an optimiser down a loss, with the norm of the gradient at most 1."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(learned, _LARGEST_NORM)
    optimizer.step()


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The rate falls to 0 along half a cosine."""

    def factor(step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * step / steps))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _noised(
    denoiser: Denoiser, x: Tensor, noise: Tensor, shares: list[float]
) -> tuple[Tensor, Tensor]:
    schedule = denoiser.schedule
    times = [_time(schedule, share) for share in shares]
    levels = [schedule.alpha_sigma(schedule.log_snr(time)) for time in times]
    scales = torch.tensor(levels).to(device=x.device, dtype=x.dtype)
    alpha, sigma = (part.reshape(-1, *([1] * (x.dim() - 1))) for part in scales.unbind(1))
    precise = torch.promote_types(denoiser.dtype, torch.float32)
    noisy = alpha * x + sigma * noise.to(device=x.device, dtype=x.dtype)
    return noisy, torch.tensor(times, dtype=precise, device=x.device)


def _time(schedule: NoiseSchedule, share: float) -> float:
    """The time of a share of the range: even in time, in half log-SNR for noise levels."""
    if schedule.family == "edm":
        first, last = schedule.log_snr(schedule.first), schedule.log_snr(schedule.last)
        return schedule.time(first + share * (last - first))
    return schedule.first + share * (schedule.last - schedule.first)
