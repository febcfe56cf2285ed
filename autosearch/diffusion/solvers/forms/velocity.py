"""Adams' methods in the time of flows; with the evaluation at the end, the trapezoidal rule.

For ``f`` the velocity, noise less data, the state over ``alpha + sigma`` is integrated in
``tau = sigma / (alpha + sigma)``, which is the time of flows: ``y' = y + int f d tau``. Nothing of
that is infinite at pure noise, ``tau = 1``.
"""

from collections.abc import Mapping

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.adams import polynomial_step
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
        return polynomial_step(update, interval, log_snrs, schedule)
