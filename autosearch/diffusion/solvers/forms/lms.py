"""LMS: Adams-Bashforth with true step lengths, of full order into the clean end.

The linear multistep sampler of k-diffusion (Crowson 2022) integrates the polynomial of the noise
in ``sigma / alpha`` through the last evaluations. ``deis_rho`` is that too, but comes down to order
1 at the clean end, and the integrals are exact here where the published code's are to 1e-4. With
``prediction: velocity`` it is Adams-Bashforth for flows, as the same code runs them.
"""

from collections.abc import Mapping

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.adams import AdamsBashforth, polynomial_step
from autosearch.diffusion.solvers.update import Interval, Update

__all__ = ["LMS"]


class LMS(AdamsBashforth):
    """The polynomial through the newest evaluations."""

    name = "lms"
    summary = "LMS: Adams-Bashforth with true step lengths, of full order into the clean end"

    def takes_pure_noise(self, update: Update) -> bool:
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
