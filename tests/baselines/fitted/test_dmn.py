"""DMN: the published optima to their digits, and a bound that is what it claims to be."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.dmn import best_levels, error_bound, fit_dmn
from autosearch.baselines.fitted.names import check_name, resolve
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.lagrange import lagrange_basis
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

LOW, HIGH = 0.1, 20.0


def level(time: float) -> float:
    """Half log-SNR of the variance-preserving SDE with betas from 0.1 to 20 (Song et al. 2021)."""
    log_alpha = -0.25 * time**2 * (HIGH - LOW) - 0.5 * time * LOW
    return log_alpha - 0.5 * math.log(-math.expm1(2 * log_alpha))


def time(half: float) -> float:
    """The time of a half log-SNR."""
    doubled = 2 * (HIGH - LOW) * np.logaddexp(-2 * half, 0.0)
    return float(doubled / (math.sqrt(LOW**2 + doubled) + LOW) / (HIGH - LOW))


ENDS = level(1.0), level(1e-3)


def even(steps: int, *, in_time: bool) -> np.ndarray:
    if in_time:
        return np.array([level(t) for t in np.linspace(1.0, 1e-3, steps + 1)])
    return np.linspace(*ENDS, steps + 1)


@pytest.mark.parametrize(
    ("steps", "power", "in_time", "bound"),
    [
        (5, 1, False, 243.445),
        (6, 1, False, 180.852),
        (8, 1, False, 40.067),
        (10, 1, False, 22.985),
        (5, 2, True, 75.965),
        (10, 2, True, 17.499),
    ],
)
def test_the_bound_is_the_released_one(
    steps: int, power: float, in_time: bool, bound: float
) -> None:
    """Where the released descent starts; above 7 steps it counts no first steps apart."""
    levels = even(steps, in_time=in_time)
    found = error_bound(levels, power, apart=3 if steps <= 7 else 0)
    assert found == pytest.approx(bound, abs=5.1e-4)


@pytest.mark.parametrize(
    ("steps", "power", "bound", "times"),
    [
        (5, 1, 71.376, [0.6405, 0.4743, 0.2745, 0.0780]),
        (6, 1, 56.822, [0.6907, 0.5011, 0.3781, 0.1893, 0.0575]),
        (5, 2, 49.905, [0.6582, 0.4978, 0.3095, 0.1014]),
    ],
)
def test_the_released_optima(steps: int, power: float, bound: float, times: list[float]) -> None:
    found = best_levels(*ENDS, steps, power)
    assert (found[0], found[-1]) == ENDS
    assert error_bound(found, power) == pytest.approx(bound, abs=5.1e-4)
    assert [time(half) for half in found[1:-1]] == pytest.approx(times, abs=5.1e-5)


def test_what_the_released_descent_finds_in_ten_steps_is_no_minimum() -> None:
    """One run of it ended at 13.502, on the way down to where the first two levels meet."""
    times = [1.0, 0.9182, 0.7304, 0.5931, 0.4863, 0.2933, 0.1406, 0.0570, 0.0255, 0.0085, 1e-3]
    levels = np.array([level(t) for t in times])
    least = error_bound(levels, 1, apart=0)
    assert least == pytest.approx(13.502, abs=0.05)
    lower = minimize(
        lambda inner: error_bound(np.concatenate([levels[:1], inner, levels[-1:]]), 1, apart=0),
        levels[1:-1],
        method="Nelder-Mead",
        options={"maxiter": 600},
    )
    assert lower.fun < least - 0.5
    # Nearer to the first level, which the second one meets in the end.
    assert lower.x[0] < levels[1]


@pytest.mark.parametrize(
    ("steps", "power", "bound"),
    [(7, 1, 40.3696), (8, 1, 29.0475), (10, 1, 18.8178), (10, 2, 10.8315)],
)
def test_more_steps_have_one_optimum_too(steps: int, power: float, bound: float) -> None:
    """As a trust region of linear programmes finds it from any start."""
    found = best_levels(*ENDS, steps, power)
    assert error_bound(found, power) == pytest.approx(bound, abs=5.1e-5)


def explicit_bound(levels: np.ndarray, power: float) -> float:
    """The bound by quadrature of Lagrange polynomials, one after the other."""
    count = len(levels) - 1
    total, shares = 0.0, np.zeros(count)
    for s in range(count):
        nodes = [s - j for j in range(min(3, s + 1, count - s))]
        terms = {}
        for which, node in enumerate(nodes):
            value, _ = quad(
                lambda at, which=which, nodes=nodes: (
                    math.exp(at) * lagrange_basis([levels[n] for n in nodes], which, at)
                ),
                levels[s],
                levels[s + 1],
                epsabs=1e-12,
                epsrel=1e-12,
            )
            sigma = (1 + math.exp(2 * levels[node])) ** -0.5
            alpha = (1 + math.exp(-2 * levels[node])) ** -0.5
            terms[node] = value * sigma**power / alpha
        if s in (0, count - 1):
            total += abs(terms[s])
        elif s < 3:
            total += math.hypot(*terms.values())
        else:
            for node, term in terms.items():
                shares[node] += term
    return total + float(np.abs(shares).sum())


@given(st.lists(st.floats(0.05, 2.0), min_size=1, max_size=9), st.sampled_from([1.0, 1.5, 2.0]))
@settings(max_examples=25, deadline=None)
def test_the_bound_is_that_of_the_solvers_polynomials(gaps: list[float], power: float) -> None:
    levels = np.cumsum([-5.0, *gaps])
    assert error_bound(levels, power) == pytest.approx(explicit_bound(levels, power))


def test_no_neighbour_of_the_optimum_is_better() -> None:
    found = best_levels(*ENDS, 9, 1)
    least = error_bound(found, 1)
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(30):
            moved = found + np.pad(size * rng.standard_normal(8), 1)
            assert error_bound(moved, 1) > least * (1 - 1e-9)


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
@pytest.mark.parametrize("fit", ["dmn", "dmn:2"])
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_only_times_change_and_no_network_is_asked(
    make: Callable[[str], ExactDenoiser], model: str, fit: str, steps: int
) -> None:
    calibrator = Calibrator(make(model))
    before = baseline(f"unipc-logsnr@{steps}", calibrator.denoiser)
    found = resolve(f"unipc-logsnr+{fit}@{steps}", calibrator)
    assert found.forward_equivalents == calibrator.nominal == 0
    times = [step.time for step in found.recipe.steps]
    assert all(a > b for a, b in itertools.pairwise(times))
    # Both begin where the grid that is even in half log-SNR begins.
    assert times[0] == pytest.approx(before.steps[0].time, abs=1e-3)
    same = {"time": 0.0, "log_snr": None}
    assert [s.model_copy(update=same) for s in found.recipe.steps] == [
        s.model_copy(update=same) for s in before.steps
    ]
    calibrator.plan(found.recipe)


def test_an_end_before_the_clean_one_is_kept(make: Callable[[str], ExactDenoiser]) -> None:
    calibrator = Calibrator(make("vp"))
    recipe = baseline("ddim-few-step@4", calibrator.denoiser)
    found = fit_dmn(recipe, calibrator)
    assert found.end == recipe.end
    assert calibrator.plan(found).steps[-1].next_log_snr == recipe.end


def test_what_it_is_not_for(
    make: Callable[[str], ExactDenoiser], random_dit: Callable[..., NetworkDenoiser]
) -> None:
    calibrator = Calibrator(make("vp"))
    with pytest.raises(UserError, match="DMN: is for few steps, at most 20, not 21"):
        resolve("ddim+dmn@21", calibrator)
    with pytest.raises(UserError, match="weights belong to its times"):
        fit_dmn(resolve("ddim+olss:20:20@4", calibrator).recipe, calibrator)
    with pytest.raises(UserError, match="dmn's power is 'l2'"):
        check_name("ddim+dmn:l2@5")
