"""Order of convergence against true solutions, in double precision, between finite log-SNRs."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from autosearch.baselines import SOLVERS
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampler import trajectory
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import WEIGHTS, Evaluation, Interval, deterministic, second_order
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.plan import Plan

MakeExact = Callable[..., ExactDenoiser]
MakePlan = Callable[..., Plan]

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
CHOICES = {name: (s.order, s.prediction, s.form) for name, s in SOLVERS.items() if s.eta == 0}
CHOICES["taylor_2m_noise"] = (2, "noise", "taylor")
STEPS = (40, 80, 160, 320, 640)
FIRST, LAST = -2.0, 2.5


def unit_noise() -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randn(6, 3, generator=generator, dtype=torch.float64)


def gaussian_solution(
    data: Mixture, schedule: NoiseSchedule, x: Tensor, start: float, end: float
) -> Tensor:
    """The probability flow of one Gaussian: along each principal axis it only rescales."""
    variances, basis = np.linalg.eigh(data.covariances[0])
    (a0, s0), (a1, s1) = schedule.alpha_sigma(start), schedule.alpha_sigma(end)
    scale = np.sqrt((a1**2 * variances + s1**2) / (a0**2 * variances + s0**2))
    mean = torch.as_tensor(data.means[0])
    along = torch.as_tensor(basis * scale @ basis.T)
    return a1 * mean + (x - a0 * mean) @ along


def mixture_solution(denoiser: ExactDenoiser, x: Tensor, start: float, end: float) -> Tensor:
    """``d(x / alpha) / d log_snr = data - x / alpha``, by an adaptive method of order 8."""
    schedule = denoiser.schedule

    def slope(log_snr: float, flat: np.ndarray) -> np.ndarray:
        alpha, sigma = schedule.alpha_sigma(log_snr)
        scaled = torch.as_tensor(flat).view_as(x)
        return (denoiser.posterior_mean(alpha * scaled, alpha, sigma) - scaled).numpy().ravel()

    (alpha, _), (next_alpha, _) = schedule.alpha_sigma(start), schedule.alpha_sigma(end)
    flat = (x / alpha).numpy().ravel()
    found = solve_ivp(slope, (start, end), flat, method="DOP853", rtol=1e-11, atol=1e-12)
    return next_alpha * torch.as_tensor(found.y[:, -1]).view_as(x)


def evaluation(denoiser: ExactDenoiser, log_snr: float, x: Tensor) -> Evaluation:
    alpha, sigma = denoiser.schedule.alpha_sigma(log_snr)
    data = denoiser.posterior_mean(x, alpha, sigma)
    return Evaluation(log_snr, data, (x - alpha * data) / sigma)


def fitted_order(errors: list[float]) -> float:
    return -float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0])


@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("name", CHOICES)
def test_declared_order_from_exact_starting_values(
    name: str, family: str, gaussian: Mixture, exact: MakeExact, plan_through: MakePlan
) -> None:
    order, prediction, form = CHOICES[name]
    denoiser = exact(gaussian, SCHEDULES[family], "noise")
    x = unit_noise()
    truth = gaussian_solution(gaussian, denoiser.schedule, x, FIRST, LAST)
    errors = []
    for steps in STEPS:
        log_snrs = np.linspace(FIRST, LAST, steps + 1).tolist()
        before = FIRST - (LAST - FIRST) / steps
        earlier = gaussian_solution(gaussian, denoiser.schedule, x, FIRST, before)
        plan = plan_through(
            denoiser, log_snrs, order=order, prediction=prediction, form=form, history=1
        )
        assert plan.steps[0].order == order
        history = [evaluation(denoiser, before, earlier)]
        *_, state = trajectory(denoiser, plan, x, None, history=history)
        errors.append(float((state.x - truth).norm()))
    assert fitted_order(errors) >= order - 0.2


@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("name", CHOICES)
def test_order_from_its_own_start(
    name: str, family: str, mixture: Mixture, exact: MakeExact, plan_through: MakePlan
) -> None:
    order, prediction, form = CHOICES[name]
    said: dict[str, Prediction] = {"vp": "v", "edm": "data", "flow": "flow"}
    denoiser = exact(mixture, SCHEDULES[family], said[family])
    x = unit_noise()
    truth = mixture_solution(denoiser, x, FIRST, LAST)
    errors = []
    for steps in STEPS:
        log_snrs = np.linspace(FIRST, LAST, steps + 1).tolist()
        plan = plan_through(denoiser, log_snrs, order=order, prediction=prediction, form=form)
        assert [step.order for step in plan.steps[:2]] == [1, order]
        *_, state = trajectory(denoiser, plan, x, None)
        errors.append(float((state.x - truth).norm()))
    assert fitted_order(errors) >= order - 0.2


def test_order_holds_for_uneven_steps(
    mixture: Mixture, exact: MakeExact, plan_through: MakePlan
) -> None:
    """Steps that alternate between long and short: the ratio must be the true one."""
    denoiser = exact(mixture, SCHEDULES["vp"], "noise")
    x = unit_noise()
    truth = mixture_solution(denoiser, x, FIRST, LAST)
    for name in ("dpmpp_2m", "dpm_2m", "taylor_2m"):
        order, prediction, form = CHOICES[name]
        errors = []
        for steps in STEPS:
            gaps = np.tile([0.5, 1.5], steps // 2) * (LAST - FIRST) / steps
            log_snrs = (FIRST + np.concatenate([[0.0], np.cumsum(gaps)])).tolist()
            plan = plan_through(
                denoiser, [*log_snrs[:-1], LAST], order=order, prediction=prediction, form=form
            )
            *_, state = trajectory(denoiser, plan, x, None)
            errors.append(float((state.x - truth).norm()))
        assert fitted_order(errors) >= 1.8


@pytest.mark.parametrize("family", SCHEDULES)
def test_order_1_is_euler_in_sigma(family: str) -> None:
    """In ``y = x / alpha`` and ``s = sigma / alpha``: ``y' = y + (s' - s) (y - data) / s``."""
    schedule = SCHEDULES[family]
    x, data = unit_noise(), unit_noise().flip(0)
    start, end = -0.7, 0.4
    (a0, s0), (a1, s1) = schedule.alpha_sigma(start), schedule.alpha_sigma(end)
    scaled, before, after = x / a0, s0 / a0, s1 / a1
    expected = a1 * (scaled + (after - before) * (scaled - data) / before)
    got = deterministic(x, data, Interval(start, end, a0, s0, a1, s1))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("z", [-1.5, -1e-3, -1e-9, 1e-9, 1e-3, 1.5])
def test_weights_agree_to_second_order(z: float) -> None:
    """Both are ``h / 2`` at first; the exact one is the integral of the linear part."""
    h = abs(z)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    share = (nodes + 1) / 2
    # int_0^h exp(-(h - u)) u / h du in data form; exp(h - u) in noise form.
    integral = float(weights @ (np.exp(z * (1 - share)) * share)) / 2 * h
    assert WEIGHTS["taylor"](z) == pytest.approx(integral, rel=1e-6)
    assert WEIGHTS["dpmsolver"](z) == pytest.approx(math.copysign(math.expm1(z), 1) / 2)
    assert WEIGHTS["dpmsolver"](z) == pytest.approx(WEIGHTS["taylor"](z), abs=h**2)


def test_second_order_is_exact_for_linear_data() -> None:
    """The Taylor form integrates data that is linear in log-SNR without error."""
    schedule = SCHEDULES["edm"]
    level, slope = torch.tensor([0.3]).double(), torch.tensor([-1.1]).double()
    history = [Evaluation(at, level + slope * at, None) for at in (-0.5, 0.2)]
    start, end = 0.2, 1.4
    x = torch.tensor([2.0]).double()
    interval = Interval(start, end, *schedule.alpha_sigma(start), *schedule.alpha_sigma(end))
    got = second_order(x, history, interval, prediction="data", form="taylor")
    # y' = data - y has the solution level + slope (l - 1) + c exp(-l).
    particular = [level + slope * (at - 1) for at in (start, end)]
    truth = particular[1] + (x - particular[0]) * math.exp(start - end)
    torch.testing.assert_close(got, truth, rtol=1e-12, atol=1e-12)
