"""The numbers behind every solver step, against series, quadrature and conservation laws."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from support.step_coefficients import coefficients

from autosearch.diffusion.lagrange import lagrange_weights
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import RELAXATIONS, Coefficients, Interval, Update
from autosearch.diffusion.solvers.taylor import difference_weights, phi, taylor_weights

SCHEDULES: dict[str, NoiseSchedule] = {
    "linear": VariancePreserving(),
    "cosine": VariancePreserving("cosine"),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
LENGTHS = (1e-12, 1e-6, 0.01, 0.3, 0.999, 1.0, 1.5, 4.0, 12.0, 30.0)


def exact_phi(k: int, z: float) -> float:
    """``sum_n z**n / (n + k)!`` in fractions."""
    total = term = Fraction(1, math.factorial(k))
    for n in range(1, 160):
        term *= Fraction(z) / (n + k)
        total += term
    return float(total)


def between(schedule: NoiseSchedule, start: float, end: float) -> Interval:
    return Interval(start, end, *schedule.alpha_sigma(start), *schedule.alpha_sigma(end))


# -- building blocks -------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_phi_is_its_series(k: int) -> None:
    for z in (*LENGTHS, *(-value for value in LENGTHS)):
        assert phi(k, z) == pytest.approx(exact_phi(k, z), rel=2e-13)
    assert phi(k, 0.0) == 1 / math.factorial(k)


def test_relaxations_are_the_published_factors() -> None:
    for z in (*LENGTHS, *(-value for value in LENGTHS)):
        # 0.5 z**2 / (exp(z) - 1 - z) and 0.5 z expm1(z) / (exp(z) - 1 - z).
        bh1 = 0.5 / exact_phi(2, z)
        assert RELAXATIONS["unipc_bh1"](z, 0.0) == pytest.approx(bh1, rel=1e-12)
        bh2 = bh1 * exact_phi(1, z)
        assert RELAXATIONS["unipc_bh2"](z, 0.0) == pytest.approx(bh2, rel=1e-12)
        assert RELAXATIONS["exp"](z, -0.5) == 1 - 0.5 * math.expm1(z)
        # The length itself, whatever the sign.
        assert RELAXATIONS["linear"](z, 0.3) == 1 + 0.3 * abs(z)


@pytest.mark.parametrize("kind", RELAXATIONS)
def test_relaxations_tend_to_1(kind: str) -> None:
    for z in (1e-3, -1e-3, 1e-6, -1e-6):
        assert abs(RELAXATIONS[kind](z, 0.5) - 1) <= 0.51 * abs(z)


places = st.lists(
    st.integers(-40, 40).filter(lambda v: v != 0), min_size=1, max_size=4, unique=True
).map(lambda values: tuple(value / 10 for value in values))


@given(distances=places, data=st.data())
@settings(max_examples=80, deadline=None)
def test_differences_are_exact_for_polynomials(
    distances: tuple[float, ...], data: st.DataObject
) -> None:
    count = len(distances)
    derivative = data.draw(st.integers(1, count))
    weights = difference_weights(distances, derivative)
    for power in range(1, count + 1):
        found = sum(w * r**power for w, r in zip(weights, distances, strict=True))
        size = sum(abs(w * r**power) for w, r in zip(weights, distances, strict=True))
        wanted = math.factorial(power) if power == derivative else 0.0
        assert abs(found - wanted) <= 1e-11 * (size + wanted)


@pytest.mark.parametrize("z", [-3.0, -0.4, -1e-3, 1e-3, 0.4, 3.0])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_taylor_weights_integrate_polynomials(order: int, z: float) -> None:
    """``int_0^h exp(sign(z) (h - u)) f(u) du`` for f of degree one below the order."""
    distances = dict(zip((-2, -3, 0), (-0.7, -1.9, 1.0), strict=True))
    used = tuple(distances)[: order - 1]
    base, weights = taylor_weights(z, distances, (used,) * (order - 1), (1.0,) * (order - 1))
    h, sign = abs(z), math.copysign(1, z)

    def f(u: float) -> float:
        return sum((1.3, -0.8, 0.6, 0.5)[i] * (u / h) ** i for i in range(order))

    truth, _ = quad(lambda u: math.exp(sign * (h - u)) * f(u), 0, h, epsabs=0, epsrel=1e-12)
    found = base * f(0) + sum(w * (f(distances[j] * h) - f(0)) for j, w in weights.items())
    assert found == pytest.approx(truth, rel=1e-11)


COORDINATES: dict[str, Callable[[float], float]] = {
    "rho": lambda log_snr: math.exp(-log_snr),
    "log_snr": lambda log_snr: log_snr,
    "edm": EDM().time,
    "flow": RectifiedFlow().time,
}


def basis(places: list[float], j: int, at: float) -> float:
    others = [place for i, place in enumerate(places) if i != j]
    return math.prod((at - other) / (places[j] - other) for other in others)


@pytest.mark.parametrize("name", COORDINATES)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_lagrange_weights_are_the_integrals(count: int, name: str) -> None:
    coordinate = COORDINATES[name]
    start, end, known = -0.6, 0.5, [-0.6, -1.1, -2.0, -2.3][:count]
    places = [coordinate(value) for value in known]
    for j, found in enumerate(lagrange_weights(start, end, known, coordinate)):
        # Over rho, as published; the result is in units of rho at the end.
        truth, _ = quad(
            lambda rho, j=j: basis(places, j, coordinate(-math.log(rho))),
            math.exp(-start),
            math.exp(-end),
            epsabs=0,
            epsrel=1e-12,
        )
        assert found * math.exp(-end) == pytest.approx(truth, rel=1e-11)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_lagrange_weights_on_tables_of_betas(name: str) -> None:
    """Time has kinks there; the nodes are many enough."""
    schedule = SCHEDULES[name]
    known = [schedule.log_snr(time) for time in (700.0, 850.0, 960.0)]
    end = schedule.log_snr(400.0)
    rho = np.exp(-np.linspace(known[0], end, 20_001))
    times = np.array([schedule.time(value) for value in np.linspace(known[0], end, 20_001)])
    found = lagrange_weights(known[0], end, known, schedule.time)
    for j, weight in enumerate(found):
        values = np.array([basis([700.0, 850.0, 960.0], j, t) for t in times])
        truth = np.trapezoid(values, rho) / math.exp(-end)
        assert weight == pytest.approx(truth, rel=1e-6)


def test_log_rho_polynomials_are_the_taylor_form() -> None:
    start, end, known = -0.6, 0.5, [-0.6, -1.1, -2.0]
    lagrange = lagrange_weights(start, end, known, lambda value: value)
    h = end - start
    distances = {-2: (known[1] - start) / h, -3: (known[2] - start) / h}
    base, others = taylor_weights(h, distances, ((-3, -2), (-3, -2)), (1.0, 1.0))
    expected = [-(base - sum(others.values())), -others[-2], -others[-3]]
    assert lagrange == pytest.approx(expected, rel=1e-12)


# -- whole steps -----------------------------------------------------------------------------

LOG_SNRS = {-1: 0.3, -2: -0.2, -3: -0.9, -4: -1.1, 0: 1.2}


@st.composite
def updates(draw: st.DrawFn, *, lagrange: bool = True) -> Update:
    start = draw(st.sampled_from([-1, -2, -3]))
    others = sorted(set(LOG_SNRS) - {start})
    order = draw(st.integers(1, 4))
    points = tuple(
        tuple(sorted(draw(st.lists(st.sampled_from(others), min_size=i, max_size=4, unique=True))))
        for i in range(1, order)
    )
    form = draw(st.sampled_from(["taylor", "dpmsolver", "deis_t", "deis_rho"]))
    if form.startswith("deis_") and points and lagrange:
        return Update(len(points[0]) + 1, "noise", form, start, points[:1])
    relaxation = draw(st.sampled_from([None, ("linear", 0.3), ("exp", -0.5), ("unipc_bh1", 0.0)]))
    said = draw(st.sampled_from(["noise", "data"]))
    kept = "dpmsolver" if form == "dpmsolver" and order == 3 else "taylor"
    return Update(order, said, kept, start, points, relaxation)


def step(update: Update, schedule: NoiseSchedule, eta: float = 0.0) -> tuple[Coefficients, float]:
    start = LOG_SNRS[update.start]
    interval = between(schedule, start, LOG_SNRS[0])
    known = {j: LOG_SNRS[j] for j in update.used}
    return coefficients(update, interval, known, eta=eta, schedule=schedule), start


@given(update=updates(), name=st.sampled_from(sorted(SCHEDULES)))
@settings(max_examples=150, deadline=None)
def test_constant_predictions_are_carried_exactly(update: Update, name: str) -> None:
    """``alpha data + sigma noise`` becomes ``alpha' data + sigma' noise``, whatever the solver."""
    schedule = SCHEDULES[name]
    found, start = step(update, schedule)
    (alpha, sigma), (alpha1, sigma1) = schedule.alpha_sigma(start), schedule.alpha_sigma(1.2)
    data, noise = 0.7, -1.9
    said = data if update.prediction == "data" else noise
    size = sum(map(abs, found.weights.values()))
    x = found.state * (alpha * data + sigma * noise) + said * sum(found.weights.values())
    assert x == pytest.approx(alpha1 * data + sigma1 * noise, rel=1e-11, abs=1e-12 * (1 + size))
    assert found.noise == 0


@given(
    update=updates(lagrange=False),
    name=st.sampled_from(sorted(SCHEDULES)),
    eta=st.floats(0.05, 1.0),
)
@settings(max_examples=80, deadline=None)
def test_noise_added_keeps_the_variance_in_data_prediction(
    update: Update, name: str, eta: float
) -> None:
    schedule = SCHEDULES[name]
    update = replace(update, prediction="data")
    found, start = step(update, schedule, eta)
    (alpha, sigma), (alpha1, sigma1) = schedule.alpha_sigma(start), schedule.alpha_sigma(1.2)
    assert math.hypot(found.state * sigma, found.noise) == pytest.approx(sigma1, rel=1e-12)
    size = sum(map(abs, found.weights.values()))
    carried = found.state * alpha + sum(found.weights.values())
    assert carried == pytest.approx(alpha1, rel=1e-11, abs=1e-12 * size)


@pytest.mark.parametrize("update", [Update(3), Update(3, "noise")], ids=str)
def test_eta_is_continuous_at_0(update: Update) -> None:
    update = replace(update, points=((-3, -2), (-3, -2)))
    for schedule in SCHEDULES.values():
        plain, near = (step(update, schedule, eta)[0] for eta in (0.0, 1e-7))
        assert near.state == pytest.approx(plain.state, rel=1e-12)
        assert near.weights == pytest.approx(plain.weights, rel=1e-12)
        assert 0 < near.noise < 1e-6


def test_long_stochastic_steps_stay_exact() -> None:
    """Of the old noise exp(-h) is left at eta 1, also where 1 - exp(-2 h) is 1 in floats."""
    schedule = EDM()
    update = Update(2, "data", points=((-2,),))
    for h in (1.0, 10.0, 19.0, 25.0, 60.0):
        interval = between(schedule, -10.0, -10.0 + h)
        found = coefficients(update, interval, {-1: -10.0, -2: -11.0}, eta=1.0, schedule=schedule)
        share = interval.next_sigma / interval.sigma
        assert found.state == pytest.approx(share * math.exp(-h), rel=1e-12)
        # -2 h is the length of the step in this integrator; the difference is over one unit.
        assert found.weights[-2] == pytest.approx(-(2 * h) * phi(2, -2 * h) * h, rel=1e-12)
        assert sum(found.weights.values()) == pytest.approx(-math.expm1(-2 * h), rel=1e-12)


def test_infinite_ends() -> None:
    """From pure noise, and to clean data."""
    schedule = RectifiedFlow()
    alpha, sigma = schedule.alpha_sigma(0.5)
    first = between(schedule, -math.inf, 0.5)
    for eta in (0.0, 0.6, 1.0):
        found = coefficients(Update(), first, {-1: -math.inf}, eta=eta, schedule=schedule)
        assert found.state == pytest.approx(sigma * math.sqrt(1 - eta**2), abs=1e-15)
        assert found.weights == {-1: pytest.approx(alpha)}
        assert found.noise == pytest.approx(eta * sigma)
    last = between(schedule, 0.5, math.inf)
    found = coefficients(Update(), last, {-1: 0.5}, eta=0.0, schedule=schedule)
    assert (found.state, found.weights, found.noise) == (0, {-1: 1}, 0)


def test_polynomials_in_time_beyond_the_schedule_are_those_in_rho() -> None:
    """Where a discrete schedule has one time for two levels, there is no polynomial in time."""
    schedule = VariancePreserving()
    last = schedule.log_snr(0.0)
    levels = {-2: last + 0.5, -1: last + 1.0}
    ends = (*schedule.alpha_sigma(levels[-1]), *schedule.alpha_sigma(last + 1.5))
    interval = Interval(levels[-1], last + 1.5, *ends)
    in_time, in_rho = (
        coefficients(
            Update(2, "noise", form, -1, ((-2,),)), interval, levels, eta=0.0, schedule=schedule
        )
        for form in ("deis_t", "deis_rho")
    )
    assert in_time == in_rho
    assert all(map(math.isfinite, in_time.weights.values()))
