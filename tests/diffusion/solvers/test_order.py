"""Order of convergence against true solutions, in double precision, between finite log-SNRs."""

import math

import pytest
import torch

from autosearch.baselines import SOLVERS
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.experiments.benchmarks.orders import (
    FIRST,
    LAST,
    fitted_order,
    solver_error,
    subjects,
    true_flow,
)
from autosearch.models.exact import ExactDenoiser

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
SAID: dict[str, Prediction] = {"vp": "v", "edm": "data", "flow": "flow"}
NAMES = [name for name, solver in SOLVERS.items() if solver.order and not solver.stochastic]
STEPS = (40, 80, 160)


def fitted(name: str, family: str, subject: str, *, exact: bool) -> float:
    noise = subjects(SCHEDULES[family])[subject]
    denoiser = ExactDenoiser(noise.mixture, SCHEDULES[family], SAID[family], dtype=torch.float64)
    generator = torch.Generator().manual_seed(11)
    flow = true_flow(denoiser, torch.randn(6, 3, generator=generator, dtype=torch.float64))
    run = SOLVERS[name].run
    counts = [math.ceil(n / run) * run for n in STEPS]
    errors = [solver_error(denoiser, name, flow, n, exact=exact) for n in counts]
    return fitted_order(counts, errors)


@pytest.mark.parametrize("subject", ["gaussian", "mixture"])
@pytest.mark.parametrize("name", NAMES)
def test_declared_order_from_exact_starting_values(name: str, subject: str) -> None:
    assert fitted(name, "vp", subject, exact=True) >= SOLVERS[name].order - 0.2


@pytest.mark.parametrize("family", ["edm", "flow"])
@pytest.mark.parametrize("name", NAMES)
def test_declared_order_on_other_schedules(name: str, family: str) -> None:
    assert fitted(name, family, "gaussian", exact=True) >= SOLVERS[name].order - 0.2


@pytest.mark.parametrize("subject", ["gaussian", "mixture"])
@pytest.mark.parametrize("name", NAMES)
def test_order_from_its_own_start(name: str, subject: str) -> None:
    assert fitted(name, "vp", subject, exact=False) >= min(SOLVERS[name].order, 2) - 0.2


def test_the_published_third_order_is_of_second_order() -> None:
    """Its second difference lacks a factor of 2; the true third order is the Taylor form."""
    published, true = (fitted(n, "vp", "mixture", exact=True) for n in ("dpmpp_3m", "taylor_3m"))
    assert published < 2.5
    assert true > 2.8


def test_both_true_flows_agree_on_one_gaussian() -> None:
    """The adaptive solution of a mixture of two equal halves is the closed one of the whole."""
    denoiser = subjects(SCHEDULES["vp"])["gaussian"]
    data = denoiser.mixture
    halves = type(data)(
        torch.tensor([0.5, 0.5]).numpy(),
        data.means.repeat(2, axis=0),
        data.covariances.repeat(2, axis=0),
    )
    twice = ExactDenoiser(halves, SCHEDULES["vp"], "noise", dtype=torch.float64)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    closed, solved = true_flow(denoiser, x), true_flow(twice, x)
    for log_snr in (FIRST - 0.5, FIRST, 0.3, LAST):
        torch.testing.assert_close(closed(log_snr), solved(log_snr), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpm_2m", "taylor_3m", "deis_t_2", "unipc"])
def test_order_holds_for_uneven_steps(name: str) -> None:
    """Steps that alternate between long and short: the ratio must be the true one."""
    denoiser = subjects(SCHEDULES["vp"])["mixture"]
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    flow = true_flow(denoiser, x)
    errors = [solver_error(denoiser, name, flow, n, exact=True, uneven=True) for n in STEPS]
    assert fitted_order(STEPS, errors) >= SOLVERS[name].order - 0.2
