"""Adams-Bashforth methods: the newest evaluations, integrated from the newest state on.

For ``f`` the noise, the state over ``alpha`` is integrated in ``sigma / alpha``; for ``f`` the
velocity, noise less data, the state over ``alpha + sigma`` in ``sigma / (alpha + sigma)``, which is
the time of flows: ``y' = y + int f d tau`` either way. Nothing of this is infinite at the clean
end, where these methods keep their order, as published; nor is the second at pure noise.
"""

import math
from collections.abc import Collection, Mapping

from autosearch.diffusion.lagrange import polynomial_weights
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice, other_points
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.update import (
    FIRST_ORDER,
    Integrand,
    Interval,
    Points,
    Update,
)

__all__ = ["AdamsBashforth", "integrated", "polynomial_step", "step_length"]


class AdamsBashforth(CombinationForm):
    """A multistep form that keeps its order up to the clean end."""

    predictions = ("noise", "velocity")
    restarts = False
    stochastic = "none"
    corrector = "taylor"

    def resolve(
        self,
        choice: Choice,
        history: Mapping[int, float],
        end: float,
        decisive: Collection[int] = (),
    ) -> Update:
        velocity = self.prediction(choice) == "velocity"
        if math.isinf(end) and (velocity or math.isfinite(history[-1])):
            points = self.choose_points(choice, history, -1)
            return self.above_first(choice, points, -1) if points else FIRST_ORDER
        return super().resolve(choice, history, end, decisive)

    def choose_points(self, choice: Choice, history: Mapping[int, float], start: int) -> Points:
        """The newest evaluations before the start's; no others are those of the method."""
        older = sorted((j for j in other_points(history, start) if j < start), reverse=True)
        chosen = older[: choice.order - 1]
        return (tuple(sorted(chosen)),) if chosen else ()

    def first(self, prediction: Integrand, start: int) -> Update:
        form = self.name if prediction == "velocity" else Update.form
        return Update(prediction=prediction, form=form, start=start)

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        return Update(len(points[0]) + 1, self.prediction(choice), self.name, start, points)

    def is_bounded(self, update: Update) -> bool:
        return update.prediction == "velocity"


def polynomial_step(
    update: Update, interval: Interval, log_snrs: Mapping[int, float], schedule: NoiseSchedule
) -> Coefficients:
    """The step that integrates the polynomial in ``tau`` through all evaluations of an update.

    Args:
        update: the choices of the step.
        interval: from the start point to the end of the step.
        log_snrs: half log-SNR of each evaluation that the update uses, by its index.
        schedule: of the model.
    """
    nodes = [_size_and_tau(update, *schedule.alpha_sigma(log_snrs[j]))[1] for j in update.used]
    integrals = polynomial_weights(*_taus(update, interval), nodes)
    return integrated(update, interval, dict(zip(update.used, integrals, strict=True)))


def integrated(update: Update, interval: Interval, integrals: Mapping[int, float]) -> Coefficients:
    """The step whose integral in ``tau`` weighs evaluations so, by their index."""
    size, _ = _size_and_tau(update, interval.alpha, interval.sigma)
    next_size, _ = _size_and_tau(update, interval.next_alpha, interval.next_sigma)
    weights = {j: next_size * integral for j, integral in integrals.items()}
    return Coefficients(next_size / size, weights, kept=interval.next_sigma)


def step_length(update: Update, interval: Interval) -> float:
    """How far the step goes in ``tau``; below 0, as noise falls."""
    start, end = _taus(update, interval)
    return end - start


def _taus(update: Update, interval: Interval) -> tuple[float, float]:
    _, start = _size_and_tau(update, interval.alpha, interval.sigma)
    _, end = _size_and_tau(update, interval.next_alpha, interval.next_sigma)
    return start, end


def _size_and_tau(update: Update, alpha: float, sigma: float) -> tuple[float, float]:
    """What the state is divided by, and ``tau``, which is ``sigma`` over it."""
    size = alpha + sigma if update.prediction == "velocity" else alpha
    return size, sigma / size
