"""The list of solver forms, and the two whose weights are given or constant."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.step_coefficients import coefficients
from torch import Tensor

from autosearch.baselines import baseline
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, model_key
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampling.sampler import sample
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.diffusion.solvers import FORMS, USUAL_FORMS, Choice, Interval, Update, find_form
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe, Step

SCHEDULES: dict[str, NoiseSchedule] = {
    "vp": VariancePreserving(),
    "edm": EDM(),
    "flow": RectifiedFlow(),
}
SAID: dict[str, Prediction] = {"vp": "noise", "edm": "data", "flow": "flow"}
MIXTURE = Mixture.random(components=3, dimension=3, seed=8)
NOISES = torch.randn(20, 5, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def denoiser_of(family: str) -> ExactDenoiser:
    return ExactDenoiser(MIXTURE, SCHEDULES[family], SAID[family], dtype=torch.float64)


def recipe_of(denoiser: ExactDenoiser, steps: list[dict[str, Any]], **more: Any) -> Recipe:
    data = {"version": 1, "model": model_key(denoiser).model_dump(), "steps": steps, **more}
    return Recipe.from_dict(data)


def sampled(denoiser: ExactDenoiser, plan: Plan) -> Tensor:
    return sample(denoiser, plan, NOISES[0], None, step_noise=lambda k: NOISES[k])


def weights_of(plan: Plan, schedule: NoiseSchedule, i: int, eta: float = 0.0) -> list[float]:
    """A step's weights as form ``linear`` takes them: of the state, then oldest to newest."""
    step = plan.steps[i]
    levels = {-1 - back: plan.steps[i - back].log_snr for back in range(i + 1)}
    start, end = levels[step.update.start], step.next_log_snr
    interval = Interval(start, end, *schedule.alpha_sigma(start), *schedule.alpha_sigma(end))
    known = {j: levels[j] for j in step.update.used}
    found = coefficients(step.update, interval, known, eta=eta, schedule=schedule)
    oldest = min(step.update.used)
    return [found.state, *(found.weights.get(j, 0.0) for j in range(oldest, 0))]


# -- the list --------------------------------------------------------------------------------


def test_each_form_is_listed_once_and_says_what_it_is() -> None:
    assert len({type(form) for form in FORMS.values()}) == len(FORMS)
    for name, form in FORMS.items():
        assert form.name == name
        assert form.summary.strip() == form.summary
        assert 1 <= form.highest <= 4
        assert bool(form.artifact) == bool(form.needs) == bool(form.measured_by)


def test_an_unknown_form_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown form 'ipmdm'; did you mean 'ipndm'"):
        find_form("ipmdm")


@pytest.mark.parametrize("name", FORMS)
@given(
    order=st.integers(1, 4),
    levels=st.lists(st.floats(-8, 8), min_size=2, max_size=6, unique=True),
    start=st.integers(-3, -1),
)
@settings(max_examples=40, deadline=None)
def test_what_resolves_looks_only_at_what_is_there(
    name: str, order: int, levels: list[float], start: int
) -> None:
    form = FORMS[name]
    *past, end = sorted(levels)
    history = {j - len(past): level for j, level in enumerate(past)}
    weights = [1.0] * (len(past) + 1) if form.weighted else None
    order = min(order, form.highest)
    update = form.resolve(Choice(order, "data", None, weights=weights), history, end)
    assert set(update.used) <= set(history)
    assert history[update.start] < end
    if not form.weighted:
        assert update.order <= min(order, len(past))
        assert form.resolve(Choice(order, "data", start), history, end).order <= order


def test_what_a_form_lacks_is_refused_in_one_line() -> None:
    cases = {
        "form 'evodiff' has orders 1 to 2": {"form": "evodiff", "order": 3},
        "goes on from the newest state": {"form": "ipndm", "start_point": -2},
        "does not integrate the velocity": {"form": "taylor", "prediction": "velocity"},
        "no stochastic version": {"form": "ipndm", "order": 2, "eta": 0.5},
        "has its own relaxation": {"form": "ipndm", "relaxation": {"kind": "linear"}},
        "no stochastic version from the first": {"form": "linear", "weights": [1, 0], "eta": 1},
        "no corrector from the first": {
            "form": "linear",
            "weights": [1, 0],
            "corrector": "pseudo",
        },
    }
    for message, fields in cases.items():
        with pytest.raises(ValueError, match=message):
            Step.model_validate({"time": 500.0, **fields})


# -- linear, from a state of one's choice ----------------------------------------------------


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("vp", "ddim@6"),
        ("vp", "dpmpp_2m@6"),
        ("vp", "dpmpp_3m-logsnr@7"),
        ("vp", "deis_t_3@6"),
        ("edm", "dpm_2m@5"),
        ("flow", "dpmpp_2m-flow-shift@6"),
        ("vp", "dpmpp_2s-logsnr@6"),
        ("vp", "taylor_3s-logsnr@7"),
    ],
)
def test_local_weights_are_any_linear_solver(family: str, name: str) -> None:
    denoiser, schedule = denoiser_of(family), SCHEDULES[family]
    recipe = baseline(name, denoiser)
    plan = compile_recipe(recipe, denoiser)
    steps = []
    for i, (step, compiled) in enumerate(zip(recipe.steps, plan.steps, strict=True)):
        start = compiled.update.start
        weights = weights_of(plan, schedule, i)
        steps.append(
            {
                "time": step.time,
                **({} if step.log_snr is None else {"log_snr": step.log_snr}),
                "form": "linear",
                "prediction": compiled.update.prediction,
                "start_point": start,
                "weights": weights,
            }
        )
    local = recipe_of(denoiser, steps, start=recipe.start.model_dump(), end=recipe.end)
    assert Recipe.from_dict(local.to_dict()) == local
    torch.testing.assert_close(
        sampled(denoiser, compile_recipe(local, denoiser)),
        sampled(denoiser, plan),
        rtol=1e-6,
        atol=1e-6,
    )


def test_local_weights_take_noise_and_correctors() -> None:
    denoiser, schedule = denoiser_of("vp"), SCHEDULES["vp"]
    times = [999.0, 700.0, 400.0, 100.0]
    for fields in ({"eta": 1.0}, {"corrector": {"kind": "pseudo", "order": 2, "form": "taylor"}}):
        plain = recipe_of(denoiser, [{"time": time, "form": "taylor", **fields} for time in times])
        plan = compile_recipe(plain, denoiser)
        weighed = [
            {
                "time": time,
                "form": "linear",
                "start_point": -1,
                "weights": weights_of(plan, schedule, i, plan.steps[i].eta),
                **fields,
            }
            for i, time in enumerate(times)
        ]
        other = compile_recipe(recipe_of(denoiser, weighed), denoiser)
        assert any(step.corrector for step in other.steps) == any(
            step.corrector for step in plan.steps
        )
        torch.testing.assert_close(
            sampled(denoiser, other), sampled(denoiser, plan), rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": [1, 0, 0, 0, 0], "start_point": -1}, "there are 2 to 3 to weigh"),
        ({"weights": [1, 0], "start_point": -2}, "there are 3 to 3 to weigh"),
        ({"weights": [1, 0]}, "the first state and every evaluation so far"),
    ],
)
def test_weights_that_are_too_many_or_too_few(fields: dict[str, Any], message: str) -> None:
    denoiser = denoiser_of("vp")
    steps = [{"time": 999}, {"time": 500, "form": "linear", **fields}]
    with pytest.raises(UserError, match=message) as caught:
        compile_recipe(recipe_of(denoiser, steps), denoiser)
    assert "steps[1].weights" in str(caught.value)


def test_the_newest_start_is_the_default_but_for_weights() -> None:
    assert Step(time=1.0, start_point=-1) == Step(time=1.0)
    assert Step(time=1.0, form="linear", weights=[1.0, 0.0], start_point=-1).start_point == -1


# -- iPNDM -----------------------------------------------------------------------------------


def test_ipndm_on_karras_levels_collapses_to_published_weights() -> None:
    """METHODS-2 K1: five steps over Karras' levels, 80 to .002, as one row of the first state."""
    ramp = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 6) ** 7
    row = np.zeros(5)  # of the noise predictions, oldest first
    for i, (sigma, lower) in enumerate(pairwise(ramp.tolist())):
        order = min(i + 1, 4)
        levels = {-1 - back: -math.log(ramp[i - back]) for back in range(i + 1)}
        update = FORMS["ipndm"].resolve(Choice(4, "noise"), levels, -math.log(lower))
        assert update.order == order
        if order == 1:  # DDIM, which is written in the data
            update = Update(prediction="noise")
        interval = Interval(-math.log(sigma), -math.log(lower), 1.0, sigma, 1.0, lower)
        found = coefficients(update, interval, levels, eta=0.0, schedule=EDM())
        assert found.state == pytest.approx(1.0)
        for j, weight in found.weights.items():
            row[i + 1 + j] += weight
    expected = [-48.0075, -22.6821, -7.3049, -1.8132, -0.1904]
    np.testing.assert_allclose(row, expected, atol=5e-5)
    assert row.sum() == pytest.approx(-79.998)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ipndm_on_even_steps_is_adams_bashforth(order: int) -> None:
    """With equal steps in sigma/alpha, and of flows in time, constant weights are the true ones."""
    levels = {-1 - back: -math.log(5.0 + back) for back in range(order)}
    end, choice = -math.log(4.0), Choice(order, "noise")
    interval = Interval(levels[-1], end, 1.0, 5.0, 1.0, 4.0)
    found = [
        coefficients(form.resolve(choice, levels, end), interval, levels, eta=0, schedule=EDM())
        for form in (FORMS["ipndm"], FORMS["deis_rho"])
    ]
    assert found[0].state == pytest.approx(found[1].state)
    for j, weight in found[1].weights.items():
        assert found[0].weights[j] == pytest.approx(weight, abs=1e-9)
    flow = RectifiedFlow()
    levels = {-1 - back: flow.log_snr(0.5 + 0.1 * back) for back in range(order)}
    end = flow.log_snr(0.4)
    interval = Interval(levels[-1], end, 0.5, 0.5, *flow.alpha_sigma(end))
    asked = Choice(order, "velocity")
    updates = [FORMS[name].resolve(asked, levels, end, [-1]) for name in ("ipndm", "velocity")]
    constant, true = [
        coefficients(update, interval, levels, eta=0, schedule=flow) for update in updates
    ]
    for j, weight in true.weights.items():
        assert constant.weights[j] == pytest.approx(weight, abs=1e-9)


def test_ipndm_keeps_its_order_into_the_clean_end() -> None:
    levels = {-1: 2.0, -2: 1.0, -3: 0.0, -4: -1.0}
    update = FORMS["ipndm"].resolve(Choice(4, "noise"), levels, math.inf)
    assert update == Update(4, "noise", "ipndm", -1, ((-4, -3, -2),))
    near, clean = [
        coefficients(
            update,
            Interval(2.0, end, *EDM().alpha_sigma(2.0), *EDM().alpha_sigma(end)),
            levels,
            eta=0.0,
            schedule=EDM(),
        )
        for end in (30.0, math.inf)
    ]
    assert near.weights == pytest.approx(clean.weights, abs=1e-9)


@pytest.mark.parametrize("family", SCHEDULES)
def test_ipndm_runs_from_pure_noise_and_from_corrected_states(family: str) -> None:
    denoiser = denoiser_of(family)
    schedule = denoiser.schedule
    times = np.linspace(schedule.first, schedule.first * 0.05, 6).tolist()
    prediction = "velocity" if family == "flow" else "noise"
    steps = [{"time": t, "form": "ipndm", "order": 4, "prediction": prediction} for t in times]
    for corrector in ("none", "pseudo", "implicit"):
        recipe = recipe_of(denoiser, [{**step, "corrector": corrector} for step in steps])
        assert sampled(denoiser, compile_recipe(recipe, denoiser)).isfinite().all()


def test_usual_forms_are_those_of_the_framework() -> None:
    usual = ("dpmsolver", "taylor", "unipc_bh1", "unipc_bh2", "deis", "deis_t", "deis_rho")
    assert usual == USUAL_FORMS
