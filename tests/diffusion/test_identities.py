"""Solvers that are one, and the published formulas written out (DPM-Solver, DEIS, UniPC, EDM)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.sampling.sampler import State, trajectory
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import USUAL_FORMS
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

MakeExact = Callable[..., ExactDenoiser]
Choices = Mapping[str, Any]

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
SAID: dict[str, Any] = {"vp": "v", "edm": "data", "flow": "flow"}
EVEN = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # r1 = 1/3 and r2 = 2/3 over three steps
UNEVEN = (-1.2, -0.8, 0.1, 0.4, 1.5, 1.7)


@pytest.fixture(params=SCHEDULES)
def denoiser(request: pytest.FixtureRequest, mixture: Mixture, exact: MakeExact) -> ExactDenoiser:
    return exact(mixture, SCHEDULES[request.param], SAID[request.param])


def plan_of(
    denoiser: ExactDenoiser, choices: Sequence[Choices], log_snrs: Sequence[float] = UNEVEN
) -> Plan:
    """Steps with these choices through the first log-SNRs, as near as nine digits of time are."""
    steps = [
        {"time": denoiser.schedule.time(log_snr), "log_snr": log_snr, **chosen}
        for log_snr, chosen in zip(log_snrs, choices, strict=False)
    ]
    model = model_key(denoiser).model_dump()
    data = {"version": 1, "model": model, "steps": steps, "end": log_snrs[len(choices)]}
    return compile_recipe(Recipe.from_dict(data), denoiser)


def run(denoiser: ExactDenoiser, plan: Plan) -> list[State]:
    """The states after each step; ``evaluation`` is what was seen at its start."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return list(trajectory(denoiser, plan, noise, None))[1:]


def same(one: Tensor, other: Tensor, rel: float = 1e-12) -> None:
    assert float((one - other).abs().max()) <= rel * float(other.abs().max())


class Seen:
    """The evaluations of a run in the terms of the papers, oldest first."""

    def __init__(self, denoiser: ExactDenoiser, states: Sequence[State], prediction: str) -> None:
        points = [state.evaluation for state in states]
        assert all(point is not None for point in points)
        self.x = [point.x for point in points if point]
        self.m: list[Any] = [
            point.data if prediction == "data" else point.noise for point in points if point
        ]
        self.log_snr = [point.log_snr for point in points if point]
        levels = [denoiser.schedule.alpha_sigma(value) for value in self.log_snr]
        self.alpha, self.sigma = [a for a, _ in levels], [s for _, s in levels]


def base(seen: Seen, start: int, end: float, denoiser: ExactDenoiser, prediction: str) -> Any:
    """Order 1 from a point, and what the higher terms are multiplied with."""
    alpha, sigma = denoiser.schedule.alpha_sigma(end)
    h = end - seen.log_snr[start]
    x, m = seen.x[start], seen.m[start]
    if prediction == "data":
        return sigma / seen.sigma[start] * x - alpha * math.expm1(-h) * m, alpha, h
    return alpha / seen.alpha[start] * x - sigma * math.expm1(h) * m, sigma, h


def published(prediction: str, h: float) -> tuple[float, float]:
    """The factor of the first difference, with its sign, and the one that is subtracted."""
    if prediction == "data":
        phi2 = math.expm1(-h) / h + 1
        return phi2, phi2 / h - 0.5
    phi2 = math.expm1(h) / h - 1
    return -phi2, phi2 / h - 0.5


# -- order 1 ---------------------------------------------------------------------------------


def test_all_forms_are_ddim_at_order_1(denoiser: ExactDenoiser) -> None:
    plain = plan_of(denoiser, [{}] * 4)
    for form in USUAL_FORMS:
        for prediction in ("data", "noise"):
            other = plan_of(denoiser, [{"form": form, "prediction": prediction}] * 4)
            assert other.identity == plain.identity
    states = run(denoiser, plain)
    for state in states:
        point = state.evaluation
        assert point is not None
        assert point.noise is not None
        alpha, sigma = denoiser.schedule.alpha_sigma(state.log_snr)
        same(state.x, alpha * point.data + sigma * point.noise)


def test_ddim_eta_is_the_papers(mixture: Mixture, exact: MakeExact) -> None:
    """Song et al. 2021, eqs. 12 and 16, in products of 1 - beta."""
    schedule = VariancePreserving()
    denoiser = exact(mixture, schedule, "noise")
    generator = torch.Generator().manual_seed(1)
    x, z = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    product = schedule.alphas_cumprod
    for eta in (0.0, 0.4, 1.0):
        steps = [{"time": 800, "eta": eta}, {"time": 300}]
        data = {"version": 1, "model": model_key(denoiser).model_dump(), "steps": steps}
        plan = compile_recipe(Recipe.from_dict(data), denoiser)
        state = list(trajectory(denoiser, plan, x, None, step_noise=lambda _: z))[1]
        said = denoiser.denoise(x, 800.0, None)["cond"]
        now, after = product[800], product[300]
        spread = eta * math.sqrt((1 - after) / (1 - now) * (1 - now / after))
        clean = (x - math.sqrt(1 - now) * said) / math.sqrt(now)
        expected = math.sqrt(after) * clean + math.sqrt(1 - after - spread**2) * said + spread * z
        same(state.x, expected, 1e-11)


# -- multistep -------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_three_names_of_the_second_order(denoiser: ExactDenoiser, prediction: str) -> None:
    """DPM-Solver's order 2, UniPC's with B(h) = exp(h) - 1, and the framework's relaxation."""
    names = [
        {"form": "dpmsolver"},
        {"form": "unipc_bh2"},
        {"form": "taylor", "relaxation": {"kind": "unipc_bh2"}},
    ]
    plans = [
        plan_of(denoiser, [{}, *[{"order": 2, "prediction": prediction, **name}] * 3])
        for name in names
    ]
    assert len({plan.identity for plan in plans}) == 1
    states = run(denoiser, plans[0])
    seen = Seen(denoiser, states, prediction)
    for i in (1, 2, 3):
        x, scale, h = base(seen, i, states[i].log_snr, denoiser, prediction)
        r0 = (seen.log_snr[i] - seen.log_snr[i - 1]) / h
        difference = (seen.m[i] - seen.m[i - 1]) / r0
        exponent = -h if prediction == "data" else h
        same(states[i].x, x - 0.5 * scale * math.expm1(exponent) * difference)


@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_second_order_taylor_type_and_bh1(denoiser: ExactDenoiser, prediction: str) -> None:
    for form in ("taylor", "unipc_bh1"):
        chosen = {"order": 2, "prediction": prediction, "form": form}
        states = run(denoiser, plan_of(denoiser, [{}, *[chosen] * 3]))
        seen = Seen(denoiser, states, prediction)
        for i in (1, 2, 3):
            x, scale, h = base(seen, i, states[i].log_snr, denoiser, prediction)
            difference = (seen.m[i] - seen.m[i - 1]) / (seen.log_snr[i] - seen.log_snr[i - 1]) * h
            share, _ = published(prediction, h)
            if form == "unipc_bh1":  # B(h) = -h or h, times a half
                share = 0.5 * h if prediction == "data" else -0.5 * h
            same(states[i].x, x + scale * share * difference)


@pytest.mark.parametrize("form", ["dpmsolver", "taylor"])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_third_order(denoiser: ExactDenoiser, prediction: str, form: str) -> None:
    """As published; the exact expansion has the second difference twice."""
    chosen = {"order": 3, "prediction": prediction, "form": form}
    states = run(denoiser, plan_of(denoiser, [{}, {}, *[chosen] * 3]))
    seen = Seen(denoiser, states, prediction)
    for i in (2, 3, 4):
        x, scale, h = base(seen, i, states[i].log_snr, denoiser, prediction)
        r0, r1 = ((seen.log_snr[j] - seen.log_snr[j - 1]) / h for j in (i, i - 1))
        near, far = (seen.m[i] - seen.m[i - 1]) / r0, (seen.m[i - 1] - seen.m[i - 2]) / r1
        first = near + r0 / (r0 + r1) * (near - far)
        second = (near - far) / (r0 + r1) * (1 if form == "dpmsolver" else 2)
        one, two = published(prediction, h)
        expected = x + scale * one * first - scale * two * second
        same(states[i].x, expected, 2e-12)


def deis2(t: float, b: float, c: float) -> float:
    return t * (math.log(t) - math.log(c) - 1) / (math.log(b) - math.log(c))


def deis3(t: float, b: float, c: float, d: float) -> float:
    lt, lb, lc, ld = (math.log(value) for value in (t, b, c, d))
    top = lc * (ld - lt + 1) - ld * lt + ld + lt**2 - 2 * lt + 2
    return t * top / ((lb - lc) * (lb - ld))


def test_deis_closed_forms(denoiser: ExactDenoiser) -> None:
    """In the log of rho = sigma / alpha (Zhang & Chen 2023), as integrated by diffusers."""
    chosen = [{}, {"order": 2, "form": "deis"}, *[{"order": 3, "form": "deis"}] * 2]
    states = run(denoiser, plan_of(denoiser, chosen))
    seen = Seen(denoiser, states, "noise")
    for i in (1, 2, 3):
        alpha, sigma = denoiser.schedule.alpha_sigma(states[i].log_snr)
        end, now = sigma / alpha, seen.sigma[i] / seen.alpha[i]
        rho = [seen.sigma[j] / seen.alpha[j] for j in range(i, max(i - 3, -1), -1)]
        if i == 1:
            orders = [(rho[0], rho[1]), (rho[1], rho[0])]
            weights = [deis2(end, *nodes) - deis2(now, *nodes) for nodes in orders]
        else:
            cycles = [(rho[j % 3], rho[(j + 1) % 3], rho[(j + 2) % 3]) for j in range(3)]
            weights = [deis3(end, *nodes) - deis3(now, *nodes) for nodes in cycles]
        terms = [w * seen.m[i - j] for j, w in enumerate(weights)]
        same(states[i].x, alpha * (seen.x[i] / seen.alpha[i] + sum(terms)))


def test_deis_is_the_expansion_of_the_noise(denoiser: ExactDenoiser) -> None:
    for order in (2, 3, 4):
        plans = [
            plan_of(denoiser, [{"order": order, **chosen}] * 5)
            for chosen in (
                {"form": "deis"},
                {"form": "deis", "prediction": "noise"},
                {"form": "taylor", "prediction": "noise"},
            )
        ]
        assert len({plan.identity for plan in plans}) == 1


def test_rho_polynomials_of_degree_1_are_adams_bashforth(denoiser: ExactDenoiser) -> None:
    """In y = x / alpha and rho the flow is dy = noise drho."""
    states = run(denoiser, plan_of(denoiser, [{}, {"order": 2, "form": "deis_rho"}]))
    seen = Seen(denoiser, states, "noise")
    alpha, sigma = denoiser.schedule.alpha_sigma(states[1].log_snr)
    before, now = (s / a for s, a in zip(seen.sigma, seen.alpha, strict=True))
    step, ratio = sigma / alpha - now, (sigma / alpha - now) / (now - before)
    slope = (1 + ratio / 2) * seen.m[1] - ratio / 2 * seen.m[0]
    same(states[1].x, alpha * (seen.x[1] / seen.alpha[1] + step * slope))


@pytest.mark.parametrize("order", [3, 4])
def test_unipc_from_order_3_on_is_independent_of_b(denoiser: ExactDenoiser, order: int) -> None:
    for prediction in ("data", "noise"):
        common = {"order": order, "prediction": prediction, "corrector": "pseudo"}
        warm = [{"order": 1}] * (order - 1)
        plans = [
            plan_of(denoiser, [*warm, *[{"form": form, **common}] * (6 - order)])
            for form in ("unipc_bh1", "unipc_bh2", "taylor")
        ]
        assert len({plan.identity for plan in plans}) == 1


@pytest.mark.parametrize("kind", ["bh1", "bh2"])
@pytest.mark.parametrize("prediction", ["data", "noise"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc_written_out(denoiser: ExactDenoiser, order: int, prediction: str, kind: str) -> None:
    """The systems of Zhao et al. 2023, appendix, solved for predictor and corrector."""
    form = f"unipc_{kind}"
    chosen = [
        {"order": k, "form": form, "prediction": prediction, "corrector": "pseudo"}
        for k in (*range(1, order), *[order] * (6 - order))
    ]
    states = run(denoiser, plan_of(denoiser, chosen))
    seen = Seen(denoiser, states, prediction)
    for i in range(order - 1, 4):
        x, scale, h = base(seen, i, states[i].log_snr, denoiser, prediction)
        hh = -h if prediction == "data" else h
        b_h = hh if kind == "bh1" else math.expm1(hh)
        r = [(seen.log_snr[i - k] - seen.log_snr[i]) / h for k in range(1, order)] + [1.0]
        d = [(seen.m[i - k] - seen.m[i]) / r[k - 1] for k in range(1, order)]
        rows, right, term = [], [], math.expm1(hh) / hh - 1
        for k in range(1, order + 1):
            rows.append([value ** (k - 1) for value in r])
            right.append(term * math.factorial(k) / b_h)
            term = term / hh - 1 / math.factorial(k + 1)
        system = np.array(rows)
        few = [0.5] if order == 2 else np.linalg.solve(system[:-1, :-1], right[:-1])
        predicted = x - scale * b_h * sum(w * v for w, v in zip(few, d, strict=True))
        same(states[i].x, predicted, 5e-12)
        d.append(seen.m[i + 1] - seen.m[i])
        full = [0.5] if order == 1 else np.linalg.solve(system, right)
        corrected = x - scale * b_h * sum(w * v for w, v in zip(full, d, strict=True))
        same(seen.x[i + 1], corrected, 5e-12)


# -- singlestep ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dpmsolver", "taylor"])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_singlestep_2(denoiser: ExactDenoiser, prediction: str, kind: str) -> None:
    second = {"order": 2, "start_point": -2, "prediction": prediction, "form": kind}
    for log_snrs in (EVEN, UNEVEN):
        states = run(denoiser, plan_of(denoiser, [{}, second], log_snrs))
        seen = Seen(denoiser, states, prediction)
        x, scale, h = base(seen, 0, states[1].log_snr, denoiser, prediction)
        r1 = (seen.log_snr[1] - seen.log_snr[0]) / h
        difference = seen.m[1] - seen.m[0]
        e = math.expm1(-h if prediction == "data" else h)
        if kind == "dpmsolver":
            expected = x - scale * e / (2 * r1) * difference
        elif prediction == "data":
            expected = x + scale * (e / h + 1) / r1 * difference
        else:
            expected = x - scale * (e / h - 1) / r1 * difference
        same(states[1].x, expected)


@pytest.mark.parametrize("kind", ["dpmsolver", "taylor"])
@pytest.mark.parametrize("prediction", ["data", "noise"])
def test_singlestep_3(denoiser: ExactDenoiser, prediction: str, kind: str) -> None:
    """With r1 = 1/3 and r2 = 2/3; the inner step is of the taylor type in both."""
    inner = {"order": 2, "start_point": -2, "prediction": prediction, "form": "taylor"}
    outer = {"order": 3, "start_point": -3, "prediction": prediction, "form": kind}
    states = run(denoiser, plan_of(denoiser, [{}, inner, outer], EVEN))
    seen = Seen(denoiser, states, prediction)
    r1, r2 = (
        (seen.log_snr[j] - seen.log_snr[0]) / (states[2].log_snr - seen.log_snr[0]) for j in (1, 2)
    )
    assert (r1, r2) == pytest.approx((1 / 3, 2 / 3), abs=1e-8)
    x, scale, h = base(seen, 0, states[1].log_snr, denoiser, prediction)
    first, _ = published(prediction, h)  # over the inner step, r2 h long
    same(states[1].x, x + scale * first * (r2 / r1) * (seen.m[1] - seen.m[0]))
    x, scale, h = base(seen, 0, states[2].log_snr, denoiser, prediction)
    first, second = published(prediction, h)
    one, two = (seen.m[1] - seen.m[0]) / r1, (seen.m[2] - seen.m[0]) / r2
    if kind == "dpmsolver":
        expected = x + scale * first * two
    else:
        slope = (r2 * one - r1 * two) / (r2 - r1)
        bend = 2 * (two - one) / (r2 - r1)
        expected = x + scale * first * slope - scale * second * bend
    same(states[2].x, expected)


# -- Heun and stochastic steps ---------------------------------------------------------------


def test_heun_is_edms_algorithm(mixture: Mixture, exact: MakeExact) -> None:
    """Karras et al. 2022, algorithm 1, in sigma; the last step, to 0, is Euler's."""
    denoiser = exact(mixture, EDM(), "data")
    heun = {"kind": "implicit", "order": 2, "prediction": "noise", "form": "deis_rho"}
    sigmas = [20.0, 6.0, 1.5, 0.3]
    steps = [{"time": s, "corrector": heun if s > 0.3 else "none"} for s in sigmas]
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "start": {"scale": "sigma"},
        "steps": steps,
    }
    plan = compile_recipe(Recipe.from_dict(data), denoiser)
    assert plan.nfe == 7
    noise = torch.randn(5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = 20.0 * noise
    for now, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        slope = (x - denoiser.denoise(x, now, None)["cond"]) / now
        euler = x + (after - now) * slope
        if after > 0:
            ahead = (euler - denoiser.denoise(euler, after, None)["cond"]) / after
            euler = x + (after - now) * (slope + ahead) / 2
        x = euler
    *_, last = trajectory(denoiser, plan, noise, None)
    same(last.x, x, 1e-10)


@pytest.mark.parametrize(
    "choices",
    [
        {"prediction": "data"},
        {"prediction": "noise"},
        {"prediction": "data", "order": 2},
        {"prediction": "noise", "order": 2},
        {"prediction": "data", "order": 3, "form": "taylor"},
        {"prediction": "data", "order": 2, "corrector": "pseudo"},
        {"prediction": "noise", "eta": 0.5},
    ],
    ids=str,
)
def test_stochastic_variance_tends_to_the_truth(
    choices: Choices, gaussian: Mixture, exact: MakeExact
) -> None:
    """Every step is linear in the state and the noises, so the covariance is known exactly."""
    denoiser = exact(gaussian, VariancePreserving(), "v")
    schedule = denoiser.schedule
    (a0, s0), (a1, s1) = schedule.alpha_sigma(-2.0), schedule.alpha_sigma(1.5)
    start, truth = (
        a**2 * gaussian.covariances[0] + s**2 * np.eye(3) for a, s in ((a0, s0), (a1, s1))
    )
    factor = torch.as_tensor(np.linalg.cholesky(start))
    errors = []
    for count in (12, 24, 48, 96):
        log_snrs = np.linspace(-2.0, 1.5, count + 1).round(8).tolist()
        plan = plan_of(denoiser, [{"eta": 1.0, **choices}] * count, log_snrs)
        # Row j of the batch has a 1 where the j-th of all independent numbers stands.
        units = torch.eye(3 * (count + 1), dtype=torch.float64)
        units = torch.cat([units, torch.zeros(1, 3 * (count + 1), dtype=torch.float64)])
        blocks = [units[:, 3 * k : 3 * k + 3] for k in range(count + 1)]
        mean = torch.as_tensor(a0 * gaussian.means[0])
        x0 = (mean + blocks[0] @ factor.T) / plan.start_scale
        *_, state = trajectory(denoiser, plan, x0, None, step_noise=blocks.__getitem__)
        reached = (state.x[:-1] - state.x[-1]).numpy()
        errors.append(float(np.abs(reached.T @ reached - truth).max()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * errors[-2] < 0.5 * errors[-3]
    assert errors[-1] < 0.04 * float(np.abs(truth).max())
