"""Every solver step as one linear combination, its coefficients in double precision.

    x' = state * x_start + sum_j weights[j] * prediction_j + noise * z

with the exact exponential integrators of the two predictions. For ``f`` the noise,
``x' = (alpha'/alpha) x - sigma' int exp(h - u) f(u) du``; for ``f`` the data,
``x' = (sigma'/sigma) x + alpha' int exp(u - h) f(u) du`` (DPM-Solver, Lu et al. 2022a, eq. 3.4;
DPM-Solver++, Lu et al. 2022b, eq. 8). For ``f`` the velocity, noise less data, the state over
``alpha + sigma`` is integrated in ``tau = sigma / (alpha + sigma)``, which is the time of flows:
``y' = y + int f d tau``. Nothing of that is infinite at pure noise, ``tau = 1``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from autosearch.diffusion.lagrange import lagrange_weights, polynomial_weights
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.diffusion.solvers.taylor import relaxation_factor, taylor_weights
from autosearch.diffusion.solvers.update import Interval, Update

__all__ = ["Coefficients", "coefficients"]

_LAGRANGE = ("deis_t", "deis_rho")


@dataclass(frozen=True)
class Coefficients:
    """The linear combination that a step is.

    Attributes:
        state: of the state at the start.
        weights: of each prediction, by the index of its evaluation.
        noise: of the unit noise that is added.
        kept: of the noise that was predicted at the start, in the new state.
    """

    state: float
    weights: Mapping[int, float]
    noise: float = 0.0
    kept: float = 0.0

    def combine(
        self, x: Tensor, predictions: Mapping[int, Tensor | None], noise: Tensor | None = None
    ) -> Tensor:
        """The new state; all tensors are [N, *sample_shape].

        Args:
            x: the state at the start.
            predictions: by the index of their evaluation.
            noise: unit noise of a stochastic step.
        """
        total = self.state * x
        for index, weight in self.weights.items():
            prediction = predictions[index]
            assert prediction is not None  # no step integrates the noise from sigma 0
            total = total.add(prediction, alpha=weight)
        if self.noise and noise is not None:
            total = total.add(noise, alpha=self.noise)
        return total


def coefficients(
    update: Update,
    interval: Interval,
    log_snrs: Mapping[int, float],
    *,
    eta: float,
    schedule: NoiseSchedule,
) -> Coefficients:
    """The coefficients of an update.

    Args:
        update: the choices of the step.
        interval: from the start point to the end of the step; infinite ends at order 1 only.
        log_snrs: half log-SNR of each evaluation that the update uses, by its index.
        eta: how stochastic, 0 to 1. In data prediction the noise added is DDIM's (Song et al.
            2021, eq. 16), ``eta * sigma' * sqrt(1 - exp(-2 h))``, and the deterministic part is
            integrated at the faster rate that keeps the marginals: at eta 1 SDE-DPM-Solver++. In
            noise prediction it is the reverse SDE of intensity eta, at eta 1 SDE-DPM-Solver.
        schedule: for polynomials in time.
    """
    if update.form == "linear":
        return Coefficients(
            update.weights[0], dict(zip(update.used, update.weights[1:], strict=True))
        )
    if update.form in _LAGRANGE:
        return _lagrange(update, interval, log_snrs, schedule)
    if update.form == "velocity":
        return _velocity(update, interval, log_snrs, schedule)
    h = interval.h
    distances = {j: (log_snrs[j] - interval.start) / h for j in update.used if j != update.start}
    if update.prediction == "noise":
        base, others = _taylor(update, h, distances)
        state = interval.next_alpha / interval.alpha
        scale = -(1.0 + eta**2) * interval.next_sigma
        added = eta * interval.next_sigma * math.sqrt(math.expm1(2 * h)) if eta else 0.0
        # What the start's noise has of the state beside the data; its own rate is the faster one.
        kept = 1.0 - (eta**2 * math.expm1(h) if eta else 0.0)
    else:
        # Not 1 + eta**2 * expm1(-2 h), which at eta 1 is 0 from h = 19 on.
        kept = math.sqrt(1.0 - eta**2 + eta**2 * math.exp(-2 * h))
        # Keeping less of the predicted noise is a longer step of the same integrator.
        base, others = _taylor(update, -(h - math.log(kept)) if kept else -math.inf, distances)
        state = interval.next_sigma / interval.sigma * kept
        scale = interval.next_alpha
        added = eta * interval.next_sigma * math.sqrt(-math.expm1(-2 * h))
    # Differences from the start's prediction, written out.
    weights = {update.start: scale * (base - sum(others.values()))}
    weights |= {j: scale * weight for j, weight in others.items()}
    return Coefficients(state, weights, added, kept * interval.next_sigma)


def _taylor(
    update: Update, z: float, distances: Mapping[int, float]
) -> tuple[float, dict[int, float]]:
    factors = [1.0] * (update.order - 1)
    if factors:
        factors[0] = relaxation_factor(update.relaxation, z)
    if update.form == "dpmsolver" and len(factors) > 1:
        # As published and as everybody runs it; half of what the expansion has.
        factors[1] = 0.5
    return taylor_weights(z, distances, update.points, factors)


def _lagrange(
    update: Update, interval: Interval, log_snrs: Mapping[int, float], schedule: NoiseSchedule
) -> Coefficients:
    used = update.used
    levels = [log_snrs[j] for j in used]
    coordinate = schedule.time if update.form == "deis_t" else _rho
    if len({coordinate(value) for value in levels}) < len(levels):
        # Beyond its range a discrete schedule has one time for all levels.
        coordinate = _rho
    shares = lagrange_weights(interval.start, interval.end, levels, coordinate)
    weights = {j: interval.next_sigma * c for j, c in zip(used, shares, strict=True)}
    state = interval.next_alpha / interval.alpha
    return Coefficients(state, weights, kept=interval.next_sigma)


def _velocity(
    update: Update, interval: Interval, log_snrs: Mapping[int, float], schedule: NoiseSchedule
) -> Coefficients:
    """Adams' methods in the time of flows; with the evaluation at the end, the trapezoidal rule."""
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


def _rho(log_snr: float) -> float:
    """``sigma / alpha``."""
    return math.exp(-log_snr)
