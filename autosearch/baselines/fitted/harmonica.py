"""HarmoniCa (2025): a learned router that says, for each step and site, how much is computed.

Every step but the first has a weight for each site, the sigmoid of a number of its own; a site's
feature is ``w * computed + (1 - w) * cached``. They are trained along whole trajectories that run
with the cache (step-wise denoising training), each step against the whole network at the same
state, times a proxy of what caching at that step does to the final sample (image error), plus a
penalty on the weights. Afterwards a site computes where its weight is above one half.

Simplified, as tens of trajectories stand for thousands: the rate is higher; the threshold is one
half in training too (published: 0.1), so that it sees the cache that will be; a cached feature is
kept as it was computed. So that the penalty means the same for every model, errors are relative
and the proxies have mean 1 (published: absolute, with 7e-8). Only recipes of one branch.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.denoiser import Denoiser, InterceptedDenoiser
from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.diffusion.prediction import to_data_and_noise
from autosearch.diffusion.sampling.stepper import Stepper
from autosearch.diffusion.sites.branches import COND
from autosearch.diffusion.sites.interception import Mix
from autosearch.diffusion.sites.memory import FeatureMemory, Lookup
from autosearch.diffusion.sites.sites import parts
from autosearch.diffusion.solvers import Evaluation
from autosearch.diffusion.threads import one_thread
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["FITS", "apply_router", "learn_router"]

_SAMPLES = 20
_ROUNDS = 30
# The image-error proxies are taken anew after so many trajectories.
_REFRESH = 10
_RATE = 0.1  # published: 0.01
_LARGEST = 5.0  # published
_THRESHOLD = 0.5


def learn_router(
    recipe: Recipe,
    calibrator: Calibrator,
    weight: float,
    *,
    samples: int = _SAMPLES,
    rounds: int = _ROUNDS,
) -> Tensor:
    """[steps, sites] weights from 0 to 1; the first step's are 1.

    Args:
        recipe: unguided, without site actions of its own.
        calibrator: the model.
        weight: of the penalty; the larger, the less is computed.
        samples: in a trajectory.
        rounds: trajectories.

    Raises:
        UserError: for other recipes, or a model without gradients.
    """
    plan = calibrator.plan(recipe)
    if not isinstance(calibrator.denoiser, InterceptedDenoiser):
        raise UserError("harmonica: this model has no network with gradients; use another cache")
    if any(step.branches != (COND,) or step.evaluate != "network" for step in plan.steps):
        raise UserError(
            "harmonica: give a recipe that computes everything, unguided, at every step"
        )
    with one_thread(), torch.inference_mode(False), torch.enable_grad():
        return _Training(calibrator, plan, samples).run(weight, rounds)


def apply_router(recipe: Recipe, calibrator: Calibrator, router: Tensor) -> Recipe:
    """Reuse each site where its weight is at most one half."""
    names = parts(calibrator.denoiser.sites)
    reused = [
        {name: "reuse" for name, weight in zip(names, row, strict=True) if weight <= _THRESHOLD}
        for row in router.tolist()
    ]
    return with_steps(recipe, [{"sites": sites} for sites in reused])


@dataclass(frozen=True)
class _At:
    """A step's number and plan, the state there, and each site's last computed feature."""

    number: int
    step: StepPlan
    x: Tensor
    stored: dict[str, Tensor]


class _Training:
    """Weights, plan and calibrator of one run."""

    def __init__(self, calibrator: Calibrator, plan: Plan, samples: int) -> None:
        assert isinstance(calibrator.denoiser, InterceptedDenoiser)
        self.calibrator, self.denoiser = calibrator, calibrator.denoiser
        self.plan, self.samples = plan, samples
        self.names = parts(calibrator.denoiser.sites)
        shape = (len(plan.steps) - 1, len(self.names))
        self.numbers = torch.randn(shape, generator=calibrator.generator).requires_grad_()
        self.labels = calibrator.condition(samples)

    @property
    def router(self) -> Tensor:
        """[steps, sites] weights."""
        first = torch.ones(1, len(self.names))
        return torch.cat([first, self.numbers.sigmoid()]).to(self.denoiser.device)

    def run(self, weight: float, rounds: int) -> Tensor:
        optimizer = torch.optim.AdamW([self.numbers], lr=_RATE, weight_decay=0.0)
        proxies = torch.ones(len(self.plan.steps))
        for number in range(rounds):
            noise = self.calibrator.noise(self.samples, number)
            if number % _REFRESH == 0:
                with torch.no_grad():
                    proxies = self._image_errors(noise)
            self._travel(noise, functools.partial(self._lesson, optimizer, proxies, weight))
        # At each step the whole network, the cached one, and twice that backwards.
        self.calibrator.count(4 * rounds * len(self.plan.steps) * self.samples)
        return self.router.detach()

    def _lesson(
        self,
        optimizer: torch.optim.Optimizer,
        proxies: Tensor,
        weight: float,
        at: _At,
    ) -> Tensor:
        """One step of a trajectory, and of the optimiser; returns what the cached network says."""
        router = self.router
        prediction = self._cached(at, router)
        if at.number:
            with torch.no_grad():
                true = self._predict(at, {}, None)
            error = (prediction - true).square().mean() / true.square().mean()
            optimizer.zero_grad()
            loss = proxies[at.number] * error + weight * router[at.number].mean()
            torch.autograd.backward(loss)
            optimizer.step()
            with torch.no_grad():
                self.numbers.clamp_(-_LARGEST, _LARGEST)
        return prediction.detach()

    def _image_errors(self, noise: Tensor) -> Tensor:
        """[steps], mean 1: how far the end moves when one step after the other is cached."""
        count = len(self.plan.steps)
        mask = torch.ones_like(self.router)
        before = self._end(noise, mask)
        moved = torch.zeros(count)
        for i in range(1, count):
            mask[i] = self.router[i]
            end = self._end(noise, mask)
            moved[i] = (end - before).square().mean()
            before = end
        self.calibrator.count(count**2 * self.samples)
        mean = float(moved[1:].mean()) if count > 1 else 0.0
        return moved / mean if mean else torch.ones(count)

    def _end(self, noise: Tensor, weights: Tensor) -> Tensor:
        return self._travel(noise, lambda at: self._cached(at, weights))

    def _travel(self, noise: Tensor, predict: Callable[[_At], Tensor]) -> Tensor:
        """The end of the plan's trajectory along the predictions of `predict`."""
        schedule = self.denoiser.schedule
        start = self.plan.start_scale * noise
        stepper = Stepper(
            self.plan, schedule, start, step_noise=lambda k: self.calibrator.noise(self.samples, k)
        )
        stored: dict[str, Tensor] = {}
        while not stepper.finished:
            step, x = stepper.step, stepper.x
            alpha, sigma = schedule.alpha_sigma(step.log_snr)
            prediction = predict(_At(stepper.done, step, x, stored))
            data, left = to_data_and_noise(self.denoiser.prediction, prediction, x, alpha, sigma)
            stepper.tell(Evaluation(step.log_snr, x, data, left))
        return stepper.x

    def _cached(self, at: _At, weights: Tensor) -> Tensor:
        """The prediction with blended features; what is computed for the most part is stored."""
        own = weights[at.number]
        mixes = {
            name: Mix(own[i], at.stored[name])
            for i, name in enumerate(self.names)
            if name in at.stored
        }
        memory = FeatureMemory(dict.fromkeys(self.names, 1))
        prediction = self._predict(at, mixes, memory)
        for name, share in zip(self.names, own.tolist(), strict=True):
            if share > _THRESHOLD or name not in at.stored:
                at.stored[name] = memory.get(Lookup(COND.name, name, at.step.time)).detach()
        return prediction

    def _predict(self, at: _At, mixes: Mapping[str, Mix], memory: FeatureMemory | None) -> Tensor:
        precise = torch.promote_types(self.denoiser.dtype, torch.float32)
        times = torch.full((len(at.x),), at.step.time, dtype=precise, device=at.x.device)
        return self.denoiser.differentiable(at.x, times, self.labels, mixes=mixes, memory=memory)


def _forwards(recipe: Recipe, denoiser: Denoiser, weight: float) -> float:
    count = len(recipe.steps)
    return _SAMPLES * (4 * _ROUNDS * count + _ROUNDS / _REFRESH * count**2)


FITS = {
    "harmonica": Fit(
        "HarmoniCa (2025): what each step reuses, learned by gradients along cached trajectories",
        (Setting("weight", 0.05, 0.0, 1e6, whole=False),),
        lambda recipe, calibrator, weight: apply_router(
            recipe, calibrator, learn_router(recipe, calibrator, weight)
        ),
        "sites",
        forwards=_forwards,
        sites=True,
    )
}
