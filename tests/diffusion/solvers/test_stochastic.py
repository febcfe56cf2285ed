"""Stochastic solvers on one Gaussian, whose moments they carry on in closed form."""

import math

import numpy as np
import pytest
import torch
from support.step_coefficients import coefficients

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import Interval, Update
from autosearch.models.exact import ExactDenoiser, Mixture

MEAN, VARIANCE = 0.7, 0.4
SCHEDULES: dict[str, tuple[NoiseSchedule, str]] = {
    "vp": (VariancePreserving(), "v"),
    "edm": (EDM(), "data"),
    "flow": (RectifiedFlow(), "flow"),
}
Moments = tuple[float, float]


def moments(name: str, family: str) -> Moments:
    """Exact mean and variance of a solver's samples, all of whose steps are linear here.

    Each row of one batch has one unit of noise, of the start or of a step, or none.
    """
    schedule, said = SCHEDULES[family]
    data = Mixture.gaussian(np.array([MEAN]), np.array([[VARIANCE]]))
    denoiser = ExactDenoiser(data, schedule, said, dtype=torch.float64)  # type: ignore[arg-type]
    plan = compile_recipe(baseline(name, denoiser), denoiser)
    rows = torch.eye(len(plan.steps) + 2, dtype=torch.float64)

    def drawn(k: int) -> torch.Tensor:
        return rows[:, k : k + 1]

    x = sample(denoiser, plan, drawn(0), None, step_noise=drawn)[:, 0]
    none = x[-1]
    return float(none), float(((x[:-1] - none) ** 2).sum())


@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("name", ["euler_a", "er_sde", "sa_solver", "sa_solver_3"])
def test_moments_converge_to_those_of_the_data(name: str, family: str) -> None:
    """Of weak order 1 at least, from noise to the clean end.

    The mean is as near as the first level is to pure noise.
    """
    grid = "-logsnr" if family == "vp" else ""
    counts, errors = (20, 40, 80, 160), []
    for count in counts:
        mean, variance = moments(f"{name}{grid}@{count}", family)
        assert mean == pytest.approx(MEAN, abs=0.01)
        errors.append(abs(variance - VARIANCE))
    assert errors[-1] < 0.03
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] > 0.8


@pytest.mark.parametrize("name", ["sa_solver", "sa_solver_3"])
def test_sa_solver_is_of_weak_order_2(name: str) -> None:
    """Its variance errs by less than a quarter of that at half the steps."""
    errors = [abs(moments(f"{name}@{count}", "flow")[1] - VARIANCE) for count in (20, 40, 80)]
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_fresh_noise_keeps_the_level(eta: float) -> None:
    """Whatever the share of new noise, it and what is kept add up to the level's own."""
    for schedule, _ in SCHEDULES.values():
        for start, end in ((-2.0, -1.0), (0.0, 3.0)):
            interval = Interval(
                start, end, *schedule.alpha_sigma(start), *schedule.alpha_sigma(end)
            )
            made = coefficients(
                Update(form="fresh_noise"), interval, {-1: start}, eta=eta, schedule=schedule
            )
            kept = made.state * interval.sigma
            assert math.hypot(kept, made.noise) == pytest.approx(interval.next_sigma)
            assert made.noise == pytest.approx(eta * interval.next_sigma)
            whole = made.state * interval.alpha + made.weights[-1]
            assert whole == pytest.approx(interval.next_alpha)
