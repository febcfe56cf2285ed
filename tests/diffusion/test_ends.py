"""Infinite ends: pure noise of a flow (log-SNR minus infinity) and the clean end."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampling.sampler import sample, trajectory
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import Interval, Update, coefficients
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture

MakeExact = Callable[..., ExactDenoiser]

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}


def unit_noise(count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 3, generator=generator, dtype=torch.float64)


def square_root(data: Mixture) -> Tensor:
    variances, basis = np.linalg.eigh(data.covariances[0])
    return torch.as_tensor(basis * np.sqrt(variances) @ basis.T)


@pytest.mark.parametrize("said", ["noise", "data", "v", "flow"])
@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_is_finite_to_the_clean_end(
    solver: str, family: str, said: Prediction, mixture: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(mixture, SCHEDULES[family], said)
    for steps in (1, 2, 5):
        recipe = baseline(f"{solver}@{steps}", denoiser)
        if family == "flow":
            assert denoiser.schedule.log_snr(recipe.steps[0].time) == -math.inf
            # An analytic first step does not need to know the data there.
            if said == "noise" and recipe.steps[0].evaluate == "network":
                with pytest.raises(UserError, match="pure noise"):
                    compile_recipe(recipe, denoiser)
                continue
        plan = compile_recipe(recipe, denoiser)
        assert plan.steps[-1].next_log_snr == math.inf
        states = trajectory(
            denoiser, plan, unit_noise(), None, step_noise=lambda k: k * unit_noise()
        )
        assert all(state.x.isfinite().all() for state in states)


@pytest.mark.parametrize("said", ["data", "v", "flow"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_one_step_from_pure_noise_to_clean_is_the_mean(
    solver: str, said: Prediction, gaussian: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(gaussian, SCHEDULES["flow"], said)
    plan = compile_recipe(baseline(f"{solver}@1", denoiser), denoiser)
    got = sample(denoiser, plan, unit_noise(), None)
    torch.testing.assert_close(got, torch.as_tensor(gaussian.means).expand(4, 3))


# EVODiff's factors do not go away with the steps where noise levels are far from geometric.
CONVERGENT = [name for name, s in SOLVERS.items() if not s.stochastic and name != "evodiff"]


@pytest.mark.parametrize("solver", CONVERGENT)
def test_from_pure_noise_to_clean_converges(
    solver: str, gaussian: Mixture, exact: MakeExact
) -> None:
    """The true map is ``mean + covariance ** 0.5 noise``; the ends keep the order at 1."""
    denoiser = exact(gaussian, SCHEDULES["flow"], "flow")
    truth = torch.as_tensor(gaussian.means[0]) + unit_noise() @ square_root(gaussian)
    counts, errors = (20, 40, 80, 160), []
    for steps in counts:
        plan = compile_recipe(baseline(f"{solver}@{steps}", denoiser), denoiser)
        errors.append(float((sample(denoiser, plan, unit_noise(), None) - truth).norm()))
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert order >= 0.85
    assert errors[-1] < 0.05


@pytest.mark.parametrize("family", SCHEDULES)
def test_last_step_to_clean_is_the_prediction(
    family: str, gaussian: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(gaussian, SCHEDULES[family], "data")
    plan = compile_recipe(baseline("ddim@3", denoiser), denoiser)
    *_, last = trajectory(denoiser, plan, unit_noise(), None)
    assert last.evaluation is not None
    assert last.log_snr == math.inf
    assert torch.equal(last.x, last.evaluation.data)


def test_first_step_from_pure_noise_keeps_the_noise() -> None:
    """``x' = sigma' noise + alpha' data``, and with eta part of the noise is new."""
    schedule = SCHEDULES["flow"]
    x, data, fresh = unit_noise(12).split(4)
    end = 0.5
    alpha, sigma = schedule.alpha_sigma(end)
    interval = Interval(-math.inf, end, *schedule.alpha_sigma(-math.inf), alpha, sigma)
    for eta, old in ((0.0, 1.0), (0.6, 0.8), (1.0, 0.0)):
        found = coefficients(Update(), interval, {-1: -math.inf}, eta=eta, schedule=schedule)
        got = found.combine(x, {-1: data}, fresh)
        torch.testing.assert_close(got, alpha * data + sigma * (old * x + eta * fresh))


@pytest.mark.parametrize("family", ["vp", "edm"])
def test_start_is_scaled_to_the_first_level(
    family: str, gaussian: Mixture, exact: MakeExact
) -> None:
    """From pure noise at a finite level the closed form holds up to what noise hides."""
    denoiser = exact(gaussian, SCHEDULES[family], "noise")
    plan = compile_recipe(baseline("dpmpp_2m-logsnr@200", denoiser), denoiser)
    got = sample(denoiser, plan, unit_noise(), None)
    truth = torch.as_tensor(gaussian.means[0]) + unit_noise() @ square_root(gaussian)
    torch.testing.assert_close(got, truth, rtol=0.05, atol=0.05)
