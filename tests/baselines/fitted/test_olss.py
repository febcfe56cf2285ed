"""OLSS: the full path is the trajectory itself, shorter ones the best in their span."""

import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import mean_square, record_trajectory
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.olss import Regression, best_path, search_subspace
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser
from autosearch.recipe import Recipe


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_the_full_path_reproduces_the_fine_trajectory(make, model: str) -> None:
    calibrator = Calibrator(make(model))
    fine = record_trajectory(
        baseline("ddim@12", calibrator.denoiser), calibrator, steps=12, samples=50
    )
    found = search_subspace(
        baseline("ddim@12", calibrator.denoiser), calibrator, fine=12, samples=50
    )
    assert {step.form for step in found.steps} == {"linear"}
    states = calibrator.states(found, 50)
    for state, wanted in zip(states, fine.states, strict=True):
        size = float(wanted.abs().max())
        assert (state.x - wanted).abs().max() < 1e-4 * size


def test_weights_are_the_best_on_their_path(make) -> None:
    calibrator = Calibrator(make("vp"))
    fine = record_trajectory(
        baseline("ddim@4", calibrator.denoiser), calibrator, steps=30, samples=40
    )
    regression = Regression(fine)
    weights, error = regression.weights(0, [0, 9, 17], 25)
    x = [fine.states[0], *(fine.evaluations[i].data for i in (0, 9, 17))]
    known = torch.stack([value.double().flatten() for value in x], 1)
    target = fine.states[25].double().flatten()
    truth = torch.linalg.lstsq(known, target).solution
    assert weights == pytest.approx(truth.numpy(), rel=1e-6)
    assert error == pytest.approx(float(((known @ truth - target) ** 2).mean()), rel=1e-6)


def test_the_worst_step_of_the_path_is_better_than_an_even_paths(make) -> None:
    calibrator = Calibrator(make("vp"))
    regression = Regression(
        record_trajectory(baseline("ddim@4", calibrator.denoiser), calibrator, steps=40, samples=40)
    )

    def worst(path: list[int]) -> float:
        ends = [*path[1:], regression.count]
        return max(regression.weights(path[k], path[: k + 1], end)[1] for k, end in enumerate(ends))

    path = best_path(regression, 4)
    assert len(path) == 4
    assert worst(path) <= worst([0, 10, 20, 30])
    assert best_path(regression, 40) == list(range(40))


def test_it_is_nearer_to_the_fine_trajectory_than_ddim(make) -> None:
    denoiser: ExactDenoiser = make("vp")
    fresh, fitted = Calibrator(denoiser, seed=5), Calibrator(denoiser, seed=0)

    def end(recipe: Recipe) -> torch.Tensor:
        return fresh.states(recipe, 200)[-1].x

    truth = end(baseline("dpmpp_2m@200", denoiser))
    found = mean_square(end(resolve("ddim+olss@5", fitted).recipe), truth)
    assert fitted.forward_equivalents == pytest.approx(64 * 100)
    assert found < mean_square(end(baseline("ddim@5", denoiser)), truth)


def test_weights_must_fit_their_step(make) -> None:
    calibrator = Calibrator(make("vp"))
    found = resolve("ddim+olss:20:20@4", calibrator).recipe.to_dict()
    assert Recipe.from_dict(found).to_dict() == found
    found["steps"][2]["weights"].pop()
    with pytest.raises(UserError, match=r"steps\[2\].weights has 3 numbers; there are 4"):
        calibrator.plan(Recipe.from_dict(found))
    del found["steps"][2]["weights"]
    with pytest.raises(UserError, match="'weights' and form 'linear' go together"):
        Recipe.from_dict(found)
