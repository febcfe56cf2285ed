"""DEIS (Zhang & Chen 2023): polynomials of the noise, in one of three coordinates."""

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping

from autosearch.diffusion.lagrange import lagrange_weights
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.coefficients import Coefficients
from autosearch.diffusion.solvers.forms.base import Choice
from autosearch.diffusion.solvers.forms.taylor import Taylor
from autosearch.diffusion.solvers.update import Interval, Points, Update

__all__ = ["DEIS", "DEISInRho", "DEISInTime"]


class DEIS(Taylor):
    """In log(sigma/alpha), which is minus the half log-SNR: the expansion of the noise."""

    name = "deis"
    summary = "DEIS: polynomials of the noise in the log of sigma/alpha"
    predictions = ("noise",)
    relaxed = False

    def relaxation(self, choice: Choice, order: int) -> tuple[str, float] | None:
        return None


class _Polynomial(Taylor):
    """One polynomial of the noise through all the points of the first derivative.

    There are no terms of an expansion to relax, and no stochastic version above order 1.
    """

    predictions = ("noise",)
    stochastic = "first"
    relaxed = False

    @abstractmethod
    def coordinate(self, schedule: NoiseSchedule) -> Callable[[float], float]:
        """What the polynomials are in, as a function of the half log-SNR, log(alpha/sigma)."""

    def above_first(self, choice: Choice, points: Points, start: int) -> Update:
        return Update(len(points[0]) + 1, "noise", self.name, start, points[:1])

    def coefficients(
        self,
        update: Update,
        interval: Interval,
        log_snrs: Mapping[int, float],
        *,
        eta: float,
        schedule: NoiseSchedule,
    ) -> Coefficients:
        used = update.used
        levels = [log_snrs[j] for j in used]
        coordinate = self.coordinate(schedule)
        if len({coordinate(value) for value in levels}) < len(levels):
            # Beyond its range a discrete schedule has one time for all levels.
            coordinate = _rho
        shares = lagrange_weights(interval.start, interval.end, levels, coordinate)
        weights = {j: interval.next_sigma * c for j, c in zip(used, shares, strict=True)}
        state = interval.next_alpha / interval.alpha
        return Coefficients(state, weights, kept=interval.next_sigma)


class DEISInTime(_Polynomial):
    """tAB-DEIS."""

    name = "deis_t"
    summary = "tAB-DEIS: polynomials of the noise in time"

    def coordinate(self, schedule: NoiseSchedule) -> Callable[[float], float]:
        return schedule.time


class DEISInRho(_Polynomial):
    """rhoAB-DEIS; with even steps in sigma/alpha, Adams-Bashforth."""

    name = "deis_rho"
    summary = "rhoAB-DEIS: polynomials of the noise in sigma/alpha"

    def coordinate(self, schedule: NoiseSchedule) -> Callable[[float], float]:
        return _rho


def _rho(log_snr: float) -> float:
    """``sigma / alpha``."""
    return math.exp(-log_snr)
