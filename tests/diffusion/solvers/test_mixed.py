"""Random recipes: any solver after any other, on any schedule and prediction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from torch import Tensor

from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.sites.branches import COND, Branch
from autosearch.diffusion.sites.memory import FeatureMemory
from autosearch.diffusion.solvers import USUAL_FORMS
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe

Choices = dict[str, Any]
ANY_FORM = (*USUAL_FORMS, "velocity")

SCHEDULES: dict[str, NoiseSchedule] = {
    "linear": VariancePreserving(),
    "cosine": VariancePreserving("cosine"),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
SAID: tuple[Prediction, ...] = ("noise", "data", "v", "flow")
MIXTURE = Mixture.random(components=3, dimension=3, seed=8)
NOISES = torch.randn(40, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


class Counting(ExactDenoiser):
    """Counts how often it is asked."""

    calls = 0

    def denoise(
        self,
        x: Tensor,
        t: float,
        condition: Tensor | None,
        *,
        branches: Sequence[Branch] = (COND,),
        memory: FeatureMemory | None = None,
    ) -> dict[str, Tensor]:
        self.calls += 1
        return super().denoise(x, t, condition, branches=branches)


def denoiser_of(family: str, said: Prediction) -> Counting:
    return Counting(MIXTURE, SCHEDULES[family], said, dtype=torch.float64)


def compiled(denoiser: ExactDenoiser, steps: Sequence[Choices], end: float | str) -> Plan:
    data = {
        "version": 1,
        "model": model_key(denoiser).model_dump(),
        "start": {"scale": "scheduler"},
        "steps": list(steps),
        "end": end,
    }
    return compile_recipe(Recipe.from_dict(data), denoiser)


def sampled(denoiser: ExactDenoiser, plan: Plan) -> Tensor:
    return sample(denoiser, plan, NOISES[0], None, step_noise=lambda k: NOISES[k])


# -- random choices --------------------------------------------------------------------------

relaxations = st.fixed_dictionaries({"kind": st.sampled_from(["unipc_bh1", "unipc_bh2"])}) | (
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["linear", "exp"]), "coefficient": st.sampled_from([-0.5, 0.3, 2])}
    )
)


def points(low: int, high: int) -> st.SearchStrategy[list[list[int]]]:
    one = st.lists(st.integers(low, high), min_size=1, max_size=3, unique=True)
    return st.lists(one, min_size=1, max_size=3)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Choices]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def correctors(draw: st.DrawFn, *, back: int) -> str | Choices:
    kind = draw(st.sampled_from(["pseudo", "implicit"]))
    if draw(st.booleans()):
        return kind
    chosen = draw(
        some(
            order=st.integers(2, 5),
            prediction=st.sampled_from(["noise", "data"]),
            form=st.sampled_from([form for form in ANY_FORM if form != "dpmsolver"]),
            start_point=st.integers(back, -1),
            points=points(-5, 0),
        )
    )
    if chosen.get("form") == "taylor" and draw(st.booleans()):
        chosen["relaxation"] = draw(relaxations)
    return {"kind": kind, **chosen}


@st.composite
def choices(draw: st.DrawFn, *, eta: bool = False, back: int = -6) -> Choices:
    """What one step may choose, of everything that a recipe accepts."""
    order = draw(st.integers(1, 4))
    form = draw(st.sampled_from(ANY_FORM if order < 4 else ANY_FORM[1:]))
    chosen = draw(
        some(
            prediction=st.sampled_from(["noise", "data"]),
            start_point=st.integers(back, -1),
            points=points(-5, -1),
            corrector=correctors(back=back),
        )
    )
    if form == "taylor" and draw(st.booleans()):
        chosen["relaxation"] = draw(relaxations)
    if eta and form != "velocity" and (order == 1 or form not in ("deis_t", "deis_rho")):
        chosen["eta"] = draw(st.sampled_from([0, 0.4, 1]))
    return {"order": order, "form": form, **chosen}


@st.composite
def recipes(draw: st.DrawFn) -> tuple[Counting, Plan]:
    """Anything from pure noise to clean data."""
    family = draw(st.sampled_from(sorted(SCHEDULES)))
    denoiser = denoiser_of(family, draw(st.sampled_from(SAID)))
    schedule = denoiser.schedule
    shares = draw(st.lists(st.integers(0, 60), min_size=1, max_size=8, unique=True))
    span = schedule.first - schedule.last
    steps = [
        {"time": schedule.last + span * (share / 60) ** 2, **draw(choices(eta=True))}
        for share in sorted(shares, reverse=True)
    ]
    if len(steps) > 1:
        # A step that goes again from the one before, and so is asked twice at the next one's time.
        at = draw(st.none() | st.integers(1, len(steps) - 1))
        if at is not None:
            again = {**steps[at], "start_point": -2}
            steps.insert(at, {key: value for key, value in again.items() if key != "eta"})
            steps[at + 1]["start_point"] = -1
        steps[0]["evaluate"] = draw(st.sampled_from(["network", "zero_x0", "average_x0"]))
    silent = steps[0].get("evaluate", "network") == "network" and denoiser.prediction == "noise"
    if silent and steps[0]["time"] == 1 and family == "flow":
        steps[0]["time"] = 0.999
    end = draw(st.just("clean") | st.just(8.0))
    return denoiser, compiled(denoiser, steps, end)


# -- what holds for all of them --------------------------------------------------------------


@given(made=recipes())
@settings(max_examples=150, deadline=None)
def test_samples_are_finite_and_cost_what_the_plan_says(made: tuple[Counting, Plan]) -> None:
    denoiser, plan = made
    assert sampled(denoiser, plan).isfinite().all()
    implicit = sum(
        step.corrector is not None and step.corrector.kind == "implicit" for step in plan.steps
    )
    asked = sum(step.evaluate == "network" for step in plan.steps)
    assert denoiser.calls == plan.nfe == plan.forwards == asked + implicit
    assert plan.macs == denoiser.calls * denoiser.macs
    assert plan.forward_equivalents == denoiser.calls


def truth(denoiser: ExactDenoiser, x: Tensor, start: float, end: float) -> Tensor:
    """``d(x / alpha) / d log_snr = data - x / alpha``, by an adaptive method of order 8."""
    schedule = denoiser.schedule

    def slope(log_snr: float, flat: np.ndarray) -> np.ndarray:
        alpha, sigma = schedule.alpha_sigma(log_snr)
        scaled = torch.as_tensor(flat).view_as(x)
        return (denoiser.posterior_mean(alpha * scaled, alpha, sigma) - scaled).numpy().ravel()

    (alpha, _), (next_alpha, _) = schedule.alpha_sigma(start), schedule.alpha_sigma(end)
    flat = (x / alpha).numpy().ravel()
    found = solve_ivp(slope, (start, end), flat, method="DOP853", rtol=1e-10, atol=1e-11)
    return next_alpha * torch.as_tensor(found.y[:, -1]).view_as(x)


def refined(
    denoiser: ExactDenoiser,
    parts: Sequence[Choices],
    log_snrs: Sequence[float],
    first: str,
    count: int,
) -> Plan:
    """Each part of the way in so many steps, all of them with the part's choices."""
    steps: list[Choices] = []
    for k, chosen in enumerate(parts):
        inner = np.linspace(log_snrs[k], log_snrs[k + 1], count + 1)[:-1].tolist()
        steps += [{"time": denoiser.schedule.time(value), **chosen} for value in inner]
    steps[0]["evaluate"] = first
    return compiled(denoiser, steps, log_snrs[-1])


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Counting, list[Choices], list[float], str]:
    """Two or three parts of a way between finite log-SNRs, each with its own solver.

    Restarts from further back than 3 points at every step are left out, and so are long ways:
    like every multistep method of the leapfrog kind they converge, but with constants that grow
    with the exponential of the way's length and of the restart's.
    """
    denoiser = denoiser_of(draw(st.sampled_from(sorted(SCHEDULES))), draw(st.sampled_from(SAID)))
    parts = draw(st.lists(choices(back=-3), min_size=2, max_size=3))
    gaps = [draw(st.sampled_from([0.1, 0.2, 0.3])) for _ in parts]
    first = draw(st.sampled_from(["network", "network", "zero_x0", "average_x0"]))
    start = draw(st.sampled_from([-1.5, 0.0, 1.0]))
    return denoiser, parts, (start + np.cumsum([0.0, *gaps])).round(6).tolist(), first


@given(journey=journeys())
@settings(max_examples=50, deadline=None)
def test_errors_fall_as_steps_double_twice(
    journey: tuple[Counting, list[Choices], list[float], str],
) -> None:
    """At least by half, or to nothing.

    One in hundreds passes through 0 on the way, and then must fall from there on.
    """
    denoiser, parts, log_snrs, first = journey
    expected: Tensor | None = None

    def error(count: int) -> float:
        nonlocal expected
        plan = refined(denoiser, parts, log_snrs, first, count)
        if expected is None:
            x = plan.start_scale * NOISES[0]
            expected = truth(denoiser, x, plan.steps[0].log_snr, log_snrs[-1])
        return float((sampled(denoiser, plan) - expected).abs().max())

    coarse, fine = error(12), error(48)
    if fine > 1e-6 and fine > coarse / 2:
        assert error(192) <= fine / 2
