"""The exact expansion about the start of the step, with a relaxation where one is given.

The exact exponential integrators of the two predictions: for ``f`` the noise,
``x' = (alpha'/alpha) x - sigma' int exp(h - u) f(u) du``; for ``f`` the data,
``x' = (sigma'/sigma) x + alpha' int exp(u - h) f(u) du`` (DPM-Solver, Lu et al. 2022a, eq. 3.4;
DPM-Solver++, Lu et al. 2022b, eq. 8).
"""

import math
from collections.abc import Mapping

from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.combination import CombinationForm
from autosearch.diffusion.solvers.taylor import relaxation_factor, taylor_weights
from autosearch.diffusion.solvers.update import Interval, Points, Update

__all__ = ["Taylor", "added_noise"]

# Factors on the first derivative that grow with the length of the step.
_GROWING = ("unipc_bh1", "linear")


class Taylor(CombinationForm):
    """The exact expansion; other names of it differ in their relaxation."""

    name = "taylor"
    summary = "the exact expansion, with a relaxation of the first derivative where one is given"
    relaxed = True
    usual = True

    def relaxation(self, choice: Choice, order: int) -> tuple[str, float] | None:
        """Kind and coefficient of the factor on the first derivative; None for none."""
        if choice.relaxation is None:
            return None
        kind, coefficient = choice.relaxation
        return (kind, coefficient) if coefficient or kind.startswith("unipc") else None

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        order = len(points) + 1
        relaxation = self.relaxation(choice, order)
        return Update(order, self.prediction(choice), Taylor.name, start, points, relaxation)

    def is_bounded(self, update: Update) -> bool:
        relaxation = update.relaxation
        bounded = relaxation is None or relaxation[0] not in _GROWING
        return bounded and update.prediction == "data" and update.form == Taylor.name

    def factors(self, update: Update, z: float) -> list[float]:
        """What each derivative's term is multiplied with, for a step of length ``z``."""
        factors = [1.0] * (update.order - 1)
        if factors:
            factors[0] = relaxation_factor(update.relaxation, z)
        return factors

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        """The coefficients of an update; infinite ends of the interval at order 1 only.

        In data prediction the noise added is DDIM's (Song et al. 2021, eq. 16),
        ``eta * sigma' * sqrt(1 - exp(-2 h))``, and the deterministic part is integrated at the
        faster rate that keeps the marginals: at eta 1 SDE-DPM-Solver++. In noise prediction it is
        the reverse SDE of intensity eta, at eta 1 SDE-DPM-Solver.
        """
        h = interval.h
        distances = {
            j: (log_snrs[j] - interval.start) / h for j in update.used if j != update.start
        }
        if update.prediction == "noise":
            base, others = self._expansion(update, h, distances)
            state = interval.next_alpha / interval.alpha
            scale = -(1.0 + eta**2) * interval.next_sigma
            added = eta * interval.next_sigma * math.sqrt(math.expm1(2 * h)) if eta else 0.0
            # What the start's noise has of the state beside the data; its own rate is the faster
            # one.
            kept = 1.0 - (eta**2 * math.expm1(h) if eta else 0.0)
        else:
            # Not 1 + eta**2 * expm1(-2 h), which at eta 1 is 0 from h = 19 on.
            kept = math.sqrt(1.0 - eta**2 + eta**2 * math.exp(-2 * h))
            # Keeping less of the predicted noise is a longer step of the same integrator.
            z = -(h - math.log(kept)) if kept else -math.inf
            base, others = self._expansion(update, z, distances)
            state = interval.next_sigma / interval.sigma * kept
            scale = interval.next_alpha
            added = added_noise(interval, eta)
        # Differences from the start's prediction, written out.
        weights = {update.start: scale * (base - sum(others.values()))}
        weights |= {j: scale * weight for j, weight in others.items()}
        return Coefficients(state, weights, added, kept * interval.next_sigma)

    def _expansion(
        self, update: Update, z: float, distances: Mapping[int, float]
    ) -> tuple[float, dict[int, float]]:
        return taylor_weights(z, distances, update.points, self.factors(update, z))


def added_noise(interval: Interval, eta: float) -> float:
    """The standard deviation of the noise that DDIM adds (Song et al. 2021, eq. 16)."""
    return eta * interval.next_sigma * math.sqrt(-math.expm1(-2 * interval.h))
