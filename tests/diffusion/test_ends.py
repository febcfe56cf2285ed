"""Infinite ends: pure noise of a flow (log-SNR minus infinity) and the clean end."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.step_coefficients import coefficients
from torch import Tensor

from autosearch.baselines import SOLVERS, baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import model_key
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampling.sampler import sample, trajectory
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import FORMS, USUAL_FORMS, Interval, Update
from autosearch.errors import UserError
from autosearch.experiments.benchmarks.flows import flows
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

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


# One that is made for times of its own has its own ends.
ANYWHERE = [name for name, solver in SOLVERS.items() if solver.own_points is None]


@pytest.mark.parametrize("said", ["noise", "data", "v", "flow"])
@pytest.mark.parametrize("family", SCHEDULES)
@pytest.mark.parametrize("solver", ANYWHERE)
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
@pytest.mark.parametrize("solver", ANYWHERE)
def test_one_step_from_pure_noise_to_clean_is_the_mean(
    solver: str, said: Prediction, gaussian: Mixture, exact: MakeExact
) -> None:
    denoiser = exact(gaussian, SCHEDULES["flow"], said)
    plan = compile_recipe(baseline(f"{solver}@1", denoiser), denoiser)
    got = sample(denoiser, plan, unit_noise(), None)
    torch.testing.assert_close(got, torch.as_tensor(gaussian.means).expand(4, 3))


# EVODiff's factors do not go away with the steps where noise levels are far from geometric.
CONVERGENT = [
    name for name, s in SOLVERS.items() if s.order and not s.stochastic and name != "evodiff"
]


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


FORMS_NEAR_NOISE = (*USUAL_FORMS, "velocity", "evodiff", "ipndm", "lms")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("first", [1.0, 0.999999, 0.9999])
def test_every_form_and_order_is_finite_near_pure_noise(
    first: float, dtype: torch.dtype, mixture: Mixture
) -> None:
    """Also where a step of noise prediction starts next to pure noise, and is of no use."""
    denoiser = ExactDenoiser(mixture, SCHEDULES["flow"], "flow", dtype=dtype)
    for form, order, corrector, start in itertools.product(
        FORMS_NEAR_NOISE, (1, 2, 3, 4), ("none", "pseudo", "implicit"), (-1, -2, -3)
    ):
        if order > FORMS[form].highest or (start < -1 and not FORMS[form].restarts):
            continue
        choices = {"order": order, "form": form, "corrector": corrector, "start_point": start}
        data = baseline(f"ddim-{'flow-shift' if start == -2 else 'flow'}@5", denoiser).to_dict()
        data["steps"] = [{**step, **choices} for step in data["steps"]]
        data["steps"][0]["time"] = first
        plan = compile_recipe(Recipe.from_dict(data), denoiser)
        x = sample(denoiser, plan, unit_noise().to(dtype), None)
        assert x.isfinite().all(), choices
        # From pure noise itself nothing runs away either.
        assert first < 1 or float(x.abs().max()) < 100, choices


@pytest.mark.parametrize("solver", ["unipc_bh1_3", "unipc_bh1", "unipc_3"])
@pytest.mark.parametrize("name", ["flow", "flow-shift", "flow-shift-linspace", "logsnr"])
def test_unipc_of_either_kind_is_finite(solver: str, name: str, mixture: Mixture) -> None:
    """Diffusers' bh1 ends with 0 times infinity."""
    denoiser = ExactDenoiser(mixture, SCHEDULES["flow"], "flow")
    for first, steps in itertools.product((1.0, 0.999999, 0.9999, 0.999), (1, 2, 3, 4, 10, 20)):
        data = baseline(f"{solver}-{name}@{steps}", denoiser).to_dict()
        data["steps"][0]["time"] = first
        plan = compile_recipe(Recipe.from_dict(data), denoiser)
        x = sample(denoiser, plan, unit_noise().float(), None)
        assert float(x.abs().max()) < 20


# The most that Frechet distances in 4, 6, 8 and 10 steps may be: what a first step from time
# 0.999999 gives. With pure noise looked at never again, they were up to three times as much.
DISTANCES = {
    "unipc": (0.057, 0.0110, 0.0046, 0.0025),
    "taylor_3s": (0.035, 0.015, 0.012, 0.0052),
    "dpmpp_3s": (0.140, 0.018, 0.0074, 0.0024),
}


@pytest.mark.parametrize("solver", DISTANCES)
def test_distances_from_pure_noise(solver: str) -> None:
    found = flows([solver], ["flow"], samples=4000)[f"{solver}-flow"]
    assert all(value <= most for value, most in zip(found, DISTANCES[solver], strict=True))


def test_heun_in_the_time_of_flows_converges_from_pure_noise(
    gaussian: Mixture, exact: MakeExact
) -> None:
    """Of second order where both ends are corrected; its last step to clean data is Euler's."""
    denoiser = exact(gaussian, SCHEDULES["flow"], "flow")
    model = model_key(denoiser).model_dump()
    corrector = {"kind": "implicit", "order": 2, "form": "velocity"}
    end = 0.2
    alpha, sigma = 1 - end, end
    covariance = torch.as_tensor(gaussian.covariances[0])
    variances, basis = torch.linalg.eigh(alpha**2 * covariance + sigma**2 * torch.eye(3))
    root = basis @ variances.sqrt().diag() @ basis.T
    truth = alpha * torch.as_tensor(gaussian.means[0]) + unit_noise() @ root
    errors = []
    for count in (10, 20, 40):
        times = np.linspace(1, end, count + 1)[:-1].tolist()
        # The corrector looks at the end of each step, so that one more follows.
        steps = [{"time": time, "corrector": corrector} for time in times] + [{"time": end}]
        data = {"version": 1, "model": model, "steps": steps}
        plan = compile_recipe(Recipe.from_dict(data), denoiser)
        assert plan.steps[0].log_snr == -math.inf
        *_, before, _ = trajectory(denoiser, plan, unit_noise(), None)
        *_, last = trajectory(denoiser, plan, unit_noise(), None)
        assert last.evaluation is not None
        assert before.log_snr == last.evaluation.log_snr
        errors.append(float((last.evaluation.x - truth).norm()))
    assert errors[0] > 3.5 * errors[1] > 12 * errors[2]
