"""Adams' methods in the time of flows; with the evaluation at the end, the trapezoidal rule.

For ``f`` the velocity, noise less data, the state over ``alpha + sigma`` is integrated in
``tau = sigma / (alpha + sigma)``, which is the time of flows: ``y' = y + int f d tau``. Nothing of
that is infinite at pure noise, ``tau = 1``.
"""

from collections.abc import Mapping

from autosearch.diffusion.lagrange import polynomial_weights
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.update import Integrand, Interval, Points, Update

__all__ = ["Velocity"]


class Velocity(CombinationForm):
    """One polynomial through all the points of the first derivative, with true step lengths."""

    name = "velocity"
    summary = "Adams' methods for the velocity in the time of flows"
    predictions = ("velocity",)
    stochastic = "none"
    plain = False
    published = False
    exact_noise = True

    def first(self, prediction: Integrand, start: int) -> Update:
        return Update(prediction=prediction, form=self.name, start=start)

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        return Update(len(points[0]) + 1, "velocity", self.name, start, points[:1])

    def is_bounded(self, update: Update) -> bool:
        return update.prediction == "velocity"

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        levels = {j: schedule.alpha_sigma(log_snrs[j]) for j in update.used}
        size = interval.alpha + interval.sigma
        next_size = interval.next_alpha + interval.next_sigma
        shares = polynomial_weights(
            interval.sigma / size,
            interval.next_sigma / next_size,
            [sigma / (alpha + sigma) for alpha, sigma in levels.values()],
        )
        weights = {j: next_size * share for j, share in zip(levels, shares, strict=True)}
        return Coefficients(next_size / size, weights, kept=interval.next_sigma)
