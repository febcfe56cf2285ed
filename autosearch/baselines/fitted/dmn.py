"""DMN (Xue et al. 2024): times that are best for a bound on the error; no network is asked.

With lambda the half log-SNR, log(alpha/sigma), a solver of data prediction ends at
``sigma_N / sigma_0 x_0 + sigma_N sum_s sum_j w_sj data_j``, where ``w_sj`` is the integral of
``exp(lambda)`` times the j-th Lagrange polynomial over step s. Step s goes through its newest 3
evaluations, the first and the last steps through as many as the history and a falling order allow:
``min(3, s + 1, N - s)``. If the data predicted at level j are wrong by at most
``e_j = sigma_j^p / alpha_j``, the end is wrong by at most

    sum_j e_j |sum_s w_sj|

up to a factor; the first and the last step enter with ``e |w|`` of their own, and each other one of
the first 3 with ``sqrt(sum_j (e_j w_sj)^2)``. What is minimised are the levels between the ends.
Released are p = 1 for pixels and p = 2 for latents.

Where we deviate. The released code counts the first steps apart up to 7 steps only. Without that
the bound has no useful minimum: what the first steps get wrong can be made to cancel, and the first
two levels meet. The released descent (``trust-constr`` of SciPy) then stops somewhere on the way,
and so it does wherever a sum over steps is 0 and its absolute value has a kink: which levels come
out depends on the last bit of the arithmetic (8 steps: bounds of 13.8 to 23.5). Here the first
steps are counted apart at every number, and each absolute value is a bound of its own in a smooth
problem with constraints, solved by SciPy's SLSQP with exact slopes: up to 6 steps that is the
released optimum, from 7 on a better one, the same from any start and on any machine.

The error of predicted data depends on their signal-to-noise ratio, whatever scale a model gives
its states, so alpha and sigma are those of variance preservation at that half log-SNR for all
models, EDM and flows too. Both ends are the grid ``logsnr``'s: where a model starts at pure noise,
the first level is the finite one that grid begins with (a flow's time 0.999). The bound is that of
the published order whatever order the recipe's steps have; the last step goes to the recipe's own
end.
"""

import numpy as np
from scipy.optimize import NonlinearConstraint, minimize

from autosearch._typing import Array
from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.diffusion.grids import grid
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError
from autosearch.recipe import Recipe

__all__ = ["FITS", "best_levels", "error_bound", "fit_dmn"]

_ORDER = 3
# How many of the first steps are counted apart.
_APART = 3
# More than it is published for (15); the descent is sure to arrive, in a second or two.
_MOST = 20
# The least share of an even step that is left between two levels.
_LEAST = 1e-2


def fit_dmn(recipe: Recipe, calibrator: Calibrator, power: float = 1) -> Recipe:
    """The recipe at the times of the best levels for as many steps.

    Args:
        recipe: with the steps whose times are fitted.
        calibrator: the model, of which only the schedule matters.
        power: p; published: 1 for pixels and 2 for latents.

    Raises:
        UserError: for more than 20 steps, and for weights that belong to times.
    """
    check_recipe(recipe, "DMN", weighted=False, twice=False)
    count = len(recipe.steps)
    if count > _MOST:
        raise UserError(f"DMN: is for few steps, at most {_MOST}, not {count}; leave it out")
    schedule = calibrator.denoiser.schedule
    levels = best_levels(*_ends(recipe, schedule), count, power)
    times = [schedule.rounded(schedule.time(level)) for level in levels[:-1].tolist()]
    return with_steps(recipe, [{"time": time, "log_snr": None} for time in times])


def best_levels(first: float, last: float, steps: int, power: float) -> Array:
    """Half log-SNRs [steps + 1] between two with the least :func:`error_bound`, ascending.

    Args:
        first: half log-SNR, log(alpha/sigma), at the start.
        last: at the end.
        steps: N.
        power: p of the error bound.
    """
    even = np.linspace(first, last, steps + 1)
    inner = steps - 1
    if not inner:
        return even
    # A row for each inner level, moved by an imaginary bit: slopes that subtract nothing.
    tiny = 1e-30
    moves = 1j * tiny * np.eye(inner, steps + 1, k=1)
    gaps = np.eye(steps, inner) - np.eye(steps, inner, k=-1)
    least = _LEAST * (last - first) / steps
    unit = np.eye(steps)

    # The unknowns are the inner levels, and a bound on the absolute value of each share.
    def whole(x: Array) -> Array:
        return np.concatenate([even[:1], x[:inner], even[-1:]])

    def total(x: Array) -> float:
        return float(_parts(whole(x), power)[0] + x[inner:].sum())

    def total_slopes(x: Array) -> Array:
        return np.append(_parts(whole(x) + moves, power)[0].imag / tiny, np.ones(steps))

    def room(x: Array) -> Array:
        levels, limits = whole(x), x[inner:]
        shares = _parts(levels, power)[1]
        return np.concatenate([limits - shares, limits + shares, np.diff(levels) - least])

    def room_slopes(x: Array) -> Array:
        shares = _parts(whole(x) + moves, power)[1].imag.T / tiny
        return np.block([[-shares, unit], [shares, unit], [gaps, np.zeros((steps, steps))]])

    found = minimize(
        total,
        np.append(even[1:-1], np.abs(_parts(even, power)[1])),
        jac=total_slopes,
        method="SLSQP",
        constraints=NonlinearConstraint(room, 0.0, np.inf, jac=room_slopes),
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    best = whole(found.x)
    ascends = bool((np.diff(best) > 0).all())
    return best if ascends and error_bound(best, power) < error_bound(even, power) else even


def error_bound(levels: Array, power: float, *, apart: int = _APART) -> float:
    """The bound on the final error at half log-SNRs [N + 1], see the module.

    Args:
        levels: ascending.
        power: p.
        apart: how many of the first steps are counted apart; the released code has 0 above 7 steps.
    """
    total, shares = _parts(levels, power, apart=apart)
    return float(total + np.abs(shares).sum())


def _parts(levels: Array, power: float, *, apart: int = _APART) -> tuple[Array, Array]:
    """The bound at half log-SNRs [..., N + 1] without the sum of absolute shares.

    Returns:
        What is counted apart [...], and the shares [..., N] of the predictions in the others.
    """
    count = levels.shape[-1] - 1
    # sigma^p / alpha of variance preservation.
    errors = (1 + np.exp(2 * levels)) ** (-power / 2) * np.sqrt(1 + np.exp(-2 * levels))
    total = np.zeros_like(levels[..., 0])
    shares = np.zeros_like(levels[..., 1:])
    for s in range(count):
        weights = _step_weights(levels, s, min(_ORDER, s + 1, count - s))
        terms = [weight * errors[..., s - j] for j, weight in enumerate(weights)]
        if len(terms) == 1:  # the integral of exp(lambda) is above 0
            total = total + terms[0]
        elif s < apart:
            total = total + np.sqrt(np.square(terms).sum(axis=0))
        else:
            for j, term in enumerate(terms):
                shares[..., s - j] += term
    return total, shares


def _step_weights(levels: Array, s: int, order: int) -> list[Array]:
    """Integrals of ``exp(lambda)`` times Lagrange polynomials over step s, the newest node first.

    The nodes are the levels s, s - 1, ..., as many as the order says, 1 to 3.
    """
    h = levels[..., s + 1] - levels[..., s]
    scale = np.exp(levels[..., s])
    # int_0^h exp(u) u^m du for m = 0, 1, 2.
    m0 = np.expm1(h)
    m1 = h * np.exp(h) - m0
    m2 = h**2 * np.exp(h) - 2 * m1
    if order == 1:
        return [scale * m0]
    a = levels[..., s] - levels[..., s - 1]
    if order == 2:
        return [scale * (m1 + a * m0) / a, -scale * m1 / a]
    c = levels[..., s] - levels[..., s - 2]
    b = c - a
    return [
        scale * (m2 + (a + c) * m1 + a * c * m0) / (a * c),
        -scale * (m2 + c * m1) / (a * b),
        scale * (m2 + a * m1) / (b * c),
    ]


def _ends(recipe: Recipe, schedule: NoiseSchedule) -> tuple[float, float]:
    """Half log-SNR at a model's finite start, and at a recipe's end or the model's."""
    first = grid("logsnr", schedule, 1)[0][0]
    clean = recipe.end == "clean"
    last = schedule.log_snr(schedule.last) if clean else float(recipe.end)
    return schedule.log_snr(first), last


FITS = {
    "dmn": Fit(
        "DMN (2024): the times with the least bound on the error; without the network",
        (Setting("power", 1, 0, 4, whole=False),),
        fit_dmn,
        "time",
    )
}
