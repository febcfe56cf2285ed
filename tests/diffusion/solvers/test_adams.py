"""Adams-Bashforth methods: iPNDM's published vector, and orders on the steps that they are for."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from support.canonical_rows import canonical_rows
from torch import Tensor

from autosearch.baselines import SOLVERS
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan, StepPlan, model_key
from autosearch.diffusion.plan.solver import compile_updates
from autosearch.diffusion.sampling.sampler import trajectory
from autosearch.diffusion.schedules import EDM, RectifiedFlow
from autosearch.diffusion.solvers import Evaluation
from autosearch.experiments.benchmarks.orders import fitted_order, subjects, true_flow
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe, Step

Make = Callable[..., ExactDenoiser]


def karras(count: int) -> list[float]:
    ramp = np.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), count)
    return (ramp**7).tolist()


def test_the_published_vector_of_ipndm(mixture: Mixture, exact: Make) -> None:
    """Five steps through six levels, oldest prediction first."""
    denoiser = exact(mixture, EDM(), "data")
    levels = karras(6)
    recipe = Recipe.from_dict(
        {
            "version": 1,
            "model": model_key(denoiser).model_dump(),
            "steps": [
                {"time": level, **choices}
                for level, choices in zip(levels, SOLVERS["ipndm"].steps(5), strict=False)
            ],
            "end": -math.log(levels[-1]),
        }
    )
    plan = compile_recipe(recipe, denoiser)
    noise = canonical_rows(plan, denoiser.schedule, "noise")[-1]
    assert noise[0] == pytest.approx(1)
    assert noise[1:].round(4).tolist() == [-48.0075, -22.6821, -7.3049, -1.8132, -0.1904]
    assert noise[1:].sum() == pytest.approx(-79.998)
    data = canonical_rows(plan, denoiser.schedule, "data")[-1]
    assert data[0] == pytest.approx(2.5e-5)
    assert data[1:].round(5).tolist() == [0.68547, -2.10207, 2.97697, -2.79819, 2.2378]


def evaluation(denoiser: ExactDenoiser, log_snr: float, x: Tensor) -> Evaluation:
    alpha, sigma = denoiser.schedule.alpha_sigma(log_snr)
    data = denoiser.posterior_mean(x, alpha, sigma)
    return Evaluation(log_snr, x, data, (x - alpha * data) / sigma)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_ipndm_has_its_order_on_even_steps(order: int) -> None:
    """In sigma/alpha, from exact starting values; on others it has two."""
    denoiser = subjects(EDM())["gaussian"]
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    flow = true_flow(denoiser, x)
    counts, errors = (40, 80, 160), []
    for count in counts:
        sigmas = 3.0 - 2.0 / count * np.arange(-3, count + 1)
        levels = [-math.log(sigma) for sigma in sigmas]
        chosen = [
            Step(time=0.0, order=min(order, i + 1), prediction="noise", form="ipndm")
            for i in range(len(levels) - 1)
        ]
        updates = compile_updates(chosen, levels)
        plans = tuple(
            StepPlan(denoiser.schedule.time(a), a, b, update=update)
            for (a, b), (update, _) in zip(itertools.pairwise(levels), updates, strict=True)
        )[3:]
        plan = Plan(model_key(denoiser), 1.0, plans, macs=1, full_macs=1, memory=0)
        history = [evaluation(denoiser, level, flow(level)) for level in levels[:3]]
        *_, last = trajectory(denoiser, plan, flow(levels[3]), None, history=history)
        errors.append(float((last.x - flow(levels[-1])).norm()))
    assert fitted_order(counts, errors) == pytest.approx(order, abs=0.25)


def test_full_order_into_the_clean_end(mixture: Mixture, exact: Make) -> None:
    """Where other multistep solvers come down to 1."""
    for said, schedule in (("data", EDM()), ("flow", RectifiedFlow())):
        denoiser = exact(mixture, schedule, said)
        for form in ("ipndm", "lms"):
            times = (2.0, 1.0, 0.5, 0.25) if said == "data" else (0.8, 0.6, 0.4, 0.2)
            prediction = "noise" if said == "data" else "velocity"
            steps = [
                {"time": time, "order": 4, "form": form, "prediction": prediction} for time in times
            ]
            data = {"version": 1, "model": model_key(denoiser).model_dump(), "steps": steps}
            plan = compile_recipe(Recipe.from_dict(data), denoiser)
            assert [step.order for step in plan.steps] == [1, 2, 3, 4]
            assert {step.update.form for step in plan.steps[1:]} == {form}
