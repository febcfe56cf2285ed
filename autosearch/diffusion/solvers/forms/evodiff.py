"""EVODiff's step (Li et al. 2025): differences balanced by what the data themselves say.

Data prediction only. Every number beside the noise levels is a ratio of inner products of the
evaluations, one for each channel of each sample, so that the step is no linear combination: scaled
states and evaluations give a scaled step, but sums do not give sums. On linear problems it is not
exact, and its factors do not tend to those of a second-order method as steps shrink: it is of first
order at best, and where the noise levels are not in geometric progression even evaluations that all
agree are taken apart (``base`` is not 1), which DDIM gets right at any length. We keep all of it as
released, but for this: the time that fades the inner products in is a share of the model's whole
range; a direction without length has coefficient 0 instead of none; and the other factor that the
released code takes above 20 steps is left out, since it is no property of a step.

A step is a probe, at whose end the network is asked, and a second look that takes its place. The
second look is the step's corrector (``pseudo``); without one the probe stands. Order 1 is the
released last step, which shrinks the state by ``1 - sqrt(sigma sigma')`` and adds half a
difference.
"""

import math
from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.forms.base import (
    Choice,
    Form,
    Operands,
    Stepped,
    other_points,
)
from autosearch.diffusion.solvers.update import (
    FIRST_ORDER,
    Corrector,
    Evaluation,
    Interval,
    Update,
)

__all__ = ["EVODiff"]

_LARGEST = 2.0
_TEMPERATURE = 0.25
_SHIFT = 0.5
_SECOND_LOOK = Update(3, "data", "evodiff", -1, ((-2, 0),))


class EVODiff(Form):
    """The newest evaluation and the one before, whatever the order; DDIM without the latter."""

    name = "evodiff"
    summary = "EVODiff: differences weighed by the data's own directions, not linear"
    highest = 2
    predictions = ("data",)
    restarts = False
    stochastic = "none"
    corrector = "own"
    plain = False
    published = False
    pure_noise = False

    def from_start(
        self, choice: Choice, history: Mapping[int, float], start: int, decisive: Collection[int]
    ) -> Update:
        if -2 not in other_points(history, start):
            return FIRST_ORDER
        return Update(min(choice.order, 2), "data", self.name, start, ((-2,),))

    def second_look(self, kind: Literal["pseudo", "implicit"], update: Update) -> Corrector | None:
        return Corrector(kind, _SECOND_LOOK) if update.order == 2 else None

    def step(self, update: Update, operands: Operands) -> Stepped:
        interval = operands.interval
        x = _step(update, interval, operands.points, operands.schedule)
        return Stepped(x, interval.next_sigma)


def _step(
    update: Update,
    interval: Interval,
    points: Mapping[int, Evaluation],
    schedule: NoiseSchedule,
) -> Tensor:
    """The state at the end; orders 1, 2 (the probe) and 3 (the second look, with point 0)."""
    start, older = points[-1], points[-2]
    now, before = start.data, older.data
    ratio = interval.next_sigma / interval.sigma
    # sigma' times the step in alpha/sigma: DDIM's weight of the data.
    length = interval.next_alpha - ratio * interval.alpha
    euler = ratio * start.x + length * now
    if update.order == 1:
        return _last(interval, euler, length, now, before)
    r = (start.log_snr - older.log_snr) / interval.h
    older_sigma = schedule.alpha_sigma(older.log_snr)[1]
    base = math.sqrt(ratio / (interval.sigma / older_sigma))
    weight = _faded(schedule.time(interval.end), schedule)
    first = (1 - weight) * base + weight * _onto(now, before)
    change = now - first * before
    spread = (torch.sigmoid(_TEMPERATURE * first.abs()) * r).clamp(0.25 * r, 1.5 * r)
    probe = euler + 0.5 * length / spread * change
    if update.order == 2:
        return probe
    there = points[0].data
    second = (1 - weight) * base + weight * _onto(there, now)
    onward = there - second * now
    # The step length in alpha/sigma is common to both and cancels.
    back, ahead = change / r, r * onward
    eta = 0.5 * torch.sigmoid((0.5 * _onto(ahead + back, ahead - back)).abs())
    slope = (1 - eta) * ahead - eta * back
    left = probe - euler - 0.5 * length * slope / spread
    zeta = torch.sigmoid((_onto(left, change) / length).abs() - _SHIFT)
    return euler + 0.5 * length * slope / zeta


def _last(interval: Interval, euler: Tensor, length: float, now: Tensor, before: Tensor) -> Tensor:
    ratio = interval.next_sigma / interval.sigma
    kept = 1 - 0.5 * math.sqrt(ratio if ratio < 0.5 else ratio - 0.5)
    shrunk = 1 - math.sqrt(interval.next_sigma * interval.sigma)
    return shrunk * euler + 0.5 * length * (now - kept * before)


def _faded(time: float, schedule: NoiseSchedule) -> float:
    """How much the inner products weigh: 0 at the noisiest time, nearly a half at the end."""
    share = (time + schedule.last) / (schedule.first + schedule.last)
    return 0.5 * (1 - share**2)


def _onto(a: Tensor, b: Tensor) -> Tensor:
    """The coefficient of ``a``'s projection onto ``b``, at most 2 either way.

    Samples without channels, [N, D], have one for all of their numbers.
    """
    dims = tuple(range(2, a.dim())) if a.dim() > 2 else (1,)
    size = (b * b).sum(dims, keepdim=True)
    coefficient = (a * b).sum(dims, keepdim=True) / size
    return torch.where(size > 0, coefficient, torch.zeros_like(coefficient)).clamp(
        -_LARGEST, _LARGEST
    )
