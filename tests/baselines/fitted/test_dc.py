"""DC-Solver: ratio 1 is the plain solver, fitted ones are nearer, and polynomials predict them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.cascade import Cascade
from autosearch.baselines.fitted.dc import fit_compensation
from autosearch.baselines.fitted.fine_trajectory import fine_states, mean_square
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.plan.compensation import compensation
from autosearch.errors import UserError
from autosearch.recipe import Recipe


def with_ratios(recipe: Recipe, ratios: list[float]) -> Recipe:
    data = recipe.to_dict()
    for step, ratio in zip(data["steps"], ratios, strict=True):
        step["compensation"] = ratio
    return Recipe.from_dict(data)


@pytest.mark.parametrize("solver", ["unipc", "dpmpp_2m", "deis_t_3", "heun"])
def test_ratio_1_is_the_plain_solver(make, solver: str) -> None:
    calibrator = Calibrator(make("vp"))
    plain = baseline(f"{solver}@5", calibrator.denoiser)
    # Two steps have nothing to compensate with.
    changed = with_ratios(plain, [1.5, 0.5, 1, 1, 1])
    assert calibrator.plan(changed).identity == calibrator.plan(plain).identity
    assert (
        calibrator.plan(with_ratios(plain, [1, 1, 1, 1.1, 1])).identity
        != calibrator.plan(plain).identity
    )


def test_the_newest_prediction_is_taken_at_another_time(make) -> None:
    """By hand, as published; what took its place stays there."""
    calibrator = Calibrator(make("vp"))
    recipe = with_ratios(baseline("dpmpp_2m@4", calibrator.denoiser), [1, 1, 1.2, 1])
    plan = calibrator.plan(recipe)
    states = calibrator.states(recipe, 8)
    times = [step.time for step in plan.steps]
    said = [
        calibrator.network(8).evaluate(step, state.x)
        for step, state in zip(plan.steps, states, strict=False)
    ]
    at = times[1] + 1.2 * (times[2] - times[1])
    polynomial = torch.zeros_like(said[0].data)
    for i in range(3):
        basis = np.prod([(at - times[j]) / (times[i] - times[j]) for j in range(3) if j != i])
        polynomial = polynomial + float(basis) * said[i].data
    evaluation = states[3].evaluation
    assert evaluation is not None
    torch.testing.assert_close(evaluation.data, polynomial, rtol=1e-4, atol=1e-4)
    assert torch.equal(evaluation.x, states[2].x)
    assert sum(plan.steps[2].compensation) == pytest.approx(1)
    assert compensation(recipe.steps, times, 3) == ()


@pytest.mark.parametrize("model", ["vp", "edm", "flow"])
@pytest.mark.parametrize("solver", ["unipc", "heun", "dpmpp_3m"])
def test_fitted_ratios_lead_nearer_step_by_step(make, model: str, solver: str) -> None:
    calibrator = Calibrator(make(model))
    plain = baseline(f"{solver}@5", calibrator.denoiser)
    found = fit_compensation(plain, calibrator, samples=30, fine=60)
    ratios = [step.compensation for step in found.steps]
    assert ratios[:2] == [1, 1]
    assert any(ratio != 1 for ratio in ratios)
    wanted = fine_states(plain, calibrator, steps=60, samples=30)
    if solver == "dpmpp_3m":
        # Without correctors, the first ratio is the one whose step ends nearest.
        first = with_ratios(plain, [1, 1, ratios[2], 1, 1])
        before, after = (calibrator.states(recipe, 30)[3].x for recipe in (plain, first))
        assert mean_square(after, wanted[3]) <= mean_square(before, wanted[3])


def test_it_is_nearer_on_fresh_noise_and_its_cost_is_counted(make) -> None:
    denoiser = make("vp")
    fresh, calibrator = Calibrator(denoiser, seed=3), Calibrator(denoiser)
    truth = fresh.states(baseline("dpmpp_2m@200", denoiser), 300)[-1].x
    plain = fresh.states(baseline("unipc@5", denoiser), 300)[-1].x
    found = fresh.states(resolve("unipc+dc@5", calibrator).recipe, 300)[-1].x
    assert mean_square(found, truth) < mean_square(plain, truth)
    assert 200 * 20 < calibrator.forward_equivalents < 300 * 20


def test_stochastic_recipes_are_refused(make) -> None:
    with pytest.raises(UserError, match="set eta to 0"):
        resolve("ddpm+dc@5", Calibrator(make("vp")))


# -- the cascade -----------------------------------------------------------------------------


def polynomial(share: float, scale: float, count: int) -> float:
    return 1 + 0.3 * share**3 - 0.2 * share * scale / 12 + 0.1 * (count / 50) ** 2 * (scale / 12)


def fitted(make, counts: list[int], scales: list[float]) -> Cascade:
    denoiser = make("vp")
    recipes = []
    for count in counts:
        for scale in scales:
            data = baseline(f"unipc@{count}", denoiser).to_dict()
            for i, step in enumerate(data["steps"]):
                step["guidance"] = [{"rule": "cfg", "scale": scale}]
                step["compensation"] = polynomial((i + 1) / count, scale, count)
            recipes.append(Recipe.from_dict(data))
    return Cascade.fit(recipes, model="some")


def test_the_cascade_predicts_what_nobody_fitted(make) -> None:
    cascade = fitted(make, [5, 6, 8, 10, 14, 20], [1.5, 3, 5, 7.5])
    assert len(cascade.coefficients) == 36
    for count, scale in ((7, 2.0), (12, 6.0)):
        wanted = [1, 1, *(polynomial((i + 1) / count, scale, count) for i in range(2, count))]
        assert cascade.ratios(count, scale) == pytest.approx(wanted, abs=2e-4)


def test_a_file_brings_ratios_to_any_recipe(make, tmp_path: Path) -> None:
    denoiser = make("vp")
    calibrator = Calibrator(denoiser)
    recipes = [resolve(f"unipc+dc:10:40@{count}", calibrator).recipe for count in (4, 5, 6)]
    cascade = Cascade.fit(recipes, model=denoiser.weights)
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(cascade.to_dict()))
    found = resolve(f"unipc+cpr:{path}@7", calibrator).recipe
    assert [step.compensation for step in found.steps] == cascade.ratios(7)
    path.write_text(json.dumps({**cascade.to_dict(), "model": "another"}))
    with pytest.raises(UserError, match="fitted on another model"):
        resolve(f"unipc+cpr:{path}@7", calibrator)
    for text in ("{", "[]", '{"method": "dc cascade"}'):
        path.write_text(text)
        with pytest.raises(UserError, match="no cascade of DC-Solver"):
            resolve(f"unipc+cpr:{path}@7", calibrator)
    with pytest.raises(UserError, match="cannot read the cascade"):
        resolve("unipc+cpr:nowhere.json@7", calibrator)
