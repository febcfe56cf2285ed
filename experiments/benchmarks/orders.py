"""Fitted orders of convergence of every deterministic solver.

In double precision, on log-SNR-uniform grids between finite ends, against the closed solution of a
Gaussian and an adaptive solution of order 8 for a mixture. ``exact`` starts from exact values;
``own`` from the solver's own first-order start. A solver's last steps, which it may lower, are left
out: they have no place in a fit.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from autosearch.baselines import SOLVERS
from autosearch.diffusion.plan.plan import Plan, StepPlan, model_key
from autosearch.diffusion.plan.solver import compile_updates
from autosearch.diffusion.sampling.sampler import trajectory
from autosearch.diffusion.schedules import NoiseSchedule, VariancePreserving
from autosearch.diffusion.solvers import Evaluation
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Step

__all__ = ["FIRST", "LAST", "STEPS", "Flow", "fitted_order", "orders", "solver_error", "true_flow"]

STEPS = (40, 80, 160, 320, 640)
FIRST, LAST = -1.5, 1.5
# Steps before the first: a multiple of every singlestep run, and more than any history.
_BEFORE = 12
# Errors below this are the double's own.
_FLOOR = 1e-13

Flow = Callable[[float], Tensor]


def true_flow(denoiser: ExactDenoiser, x: Tensor) -> Flow:
    """The probability flow from ``x`` at log-SNR ``FIRST``, as a function of log-SNR."""
    if len(denoiser.mixture.weights) == 1:
        return _gaussian_flow(denoiser, x)
    schedule = denoiser.schedule

    def slope(log_snr: float, flat: Any) -> Any:
        # d(x / alpha) / d log_snr = data - x / alpha
        alpha, sigma = schedule.alpha_sigma(log_snr)
        scaled = torch.as_tensor(flat).view_as(x)
        return (denoiser.posterior_mean(alpha * scaled, alpha, sigma) - scaled).numpy().ravel()

    start = (x / schedule.alpha_sigma(FIRST)[0]).numpy().ravel()
    ends = (LAST, FIRST - 0.4 * (LAST - FIRST))
    solved: list[Any] = [
        solve_ivp(
            slope, (FIRST, end), start, "DOP853", dense_output=True, rtol=1e-13, atol=1e-14
        ).sol
        for end in ends
    ]

    def flow(log_snr: float) -> Tensor:
        scaled = solved[0](log_snr) if log_snr >= FIRST else solved[1](log_snr)
        return schedule.alpha_sigma(log_snr)[0] * torch.as_tensor(scaled).view_as(x)

    return flow


def _gaussian_flow(denoiser: ExactDenoiser, x: Tensor) -> Flow:
    """Along each principal axis the flow of one Gaussian only rescales."""
    data, schedule = denoiser.mixture, denoiser.schedule
    variances, basis = np.linalg.eigh(data.covariances[0])
    mean = torch.as_tensor(data.means[0])
    alpha, sigma = schedule.alpha_sigma(FIRST)

    def flow(log_snr: float) -> Tensor:
        a, s = schedule.alpha_sigma(log_snr)
        scale = np.sqrt((a**2 * variances + s**2) / (alpha**2 * variances + sigma**2))
        along = torch.as_tensor(basis * scale @ basis.T)
        return a * mean + (x - alpha * mean) @ along

    return flow


def solver_error(
    denoiser: ExactDenoiser,
    solver: str,
    flow: Flow,
    steps: int,
    *,
    exact: bool,
    uneven: bool = False,
) -> float:
    """Distance from the true flow at ``LAST`` after so many steps.

    Args:
        denoiser: the exact denoiser.
        solver: the solver's name.
        flow: the true solution.
        steps: how many steps.
        exact: whether the history before the first step is given, exact.
        uneven: whether every other point is moved by half a step, for an even number of steps.
    """
    h = (LAST - FIRST) / steps
    before = _BEFORE if exact else 0
    log_snrs = [
        FIRST + (i - (0.5 if uneven and i % 2 else 0.0)) * h for i in range(-before, steps + 1)
    ]
    # A longer run of the solver, of which neither the start (if exact) nor the end is used.
    choices = SOLVERS[solver].steps(before + steps + _BEFORE)[: before + steps]
    chosen = [Step(time=0.0, **choice) for choice in choices]
    updates = compile_updates(chosen, log_snrs)
    plans = tuple(
        StepPlan(denoiser.schedule.time(a), a, b, update=update, corrector=corrector)
        for a, b, (update, corrector) in zip(log_snrs, log_snrs[1:], updates, strict=False)
    )[before:]
    plan = Plan(model_key(denoiser), 1.0, plans, macs=1, full_macs=1, memory=0)
    history = [_evaluation(denoiser, flow, log_snr) for log_snr in log_snrs[:before]]
    *_, last = trajectory(denoiser, plan, flow(FIRST), None, history=history)
    return float((last.x - flow(LAST)).norm())


def _evaluation(denoiser: ExactDenoiser, flow: Flow, log_snr: float) -> Evaluation:
    x = flow(log_snr)
    alpha, sigma = denoiser.schedule.alpha_sigma(log_snr)
    data = denoiser.posterior_mean(x, alpha, sigma)
    return Evaluation(log_snr, x, data, (x - alpha * data) / sigma)


def fitted_order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """Minus the slope of the errors over the step counts, both logarithmic."""
    kept = [(math.log(n), math.log(e)) for n, e in zip(steps, errors, strict=True) if e > _FLOOR]
    x, y = np.array(kept).T
    return -float(np.polyfit(x, y, 1)[0])


def subjects(schedule: NoiseSchedule) -> dict[str, ExactDenoiser]:
    """A Gaussian and a mixture in three dimensions, anisotropic.

    The mixture is smooth enough that forty steps are in the asymptotic range of every order.
    """
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    gaussian = Mixture.gaussian(
        np.array([0.5, -1.0, 0.2]), basis @ np.diag([0.05, 0.3, 1.2]) @ basis.T
    )
    rng = np.random.default_rng(0)
    bases = np.linalg.qr(rng.standard_normal((3, 3, 3)))[0]
    mixture = Mixture(
        np.array([0.5, 0.3, 0.2]),
        0.6 * rng.standard_normal((3, 3)),
        np.einsum("jab,jb,jcb->jac", bases, rng.uniform(0.2, 1.0, (3, 3)), bases),
    )
    return {
        name: ExactDenoiser(data, schedule, "noise", dtype=torch.float64)
        for name, data in (("gaussian", gaussian), ("mixture", mixture))
    }


def orders(schedule: NoiseSchedule | None = None, steps: Sequence[int] = STEPS) -> dict[str, Any]:
    """For each solver its declared order and those fitted, by subject and start."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    found: dict[str, Any] = {}
    for subject, denoiser in subjects(schedule or VariancePreserving()).items():
        flow = true_flow(denoiser, x)
        for name, solver in SOLVERS.items():
            if solver.stochastic or not solver.order:
                continue
            row = found.setdefault(name, {"declared": solver.order})
            for start in ("exact", "own"):
                # Whole runs of singlestep solvers.
                counts = [math.ceil(n / solver.run) * solver.run for n in steps]
                errors = [
                    solver_error(denoiser, name, flow, n, exact=start == "exact") for n in counts
                ]
                row[f"{subject}_{start}"] = round(fitted_order(counts, errors), 3)
    return found
