"""Where a fit's target ends, the fitted recipe ends too, whatever the grid."""

import math

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fine import fine_dpmpp
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import record_trajectory
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.trajectory_ends import Ends
from autosearch.models.mixture import MixtureModel
from autosearch.recipe import Recipe

VP = ("few-step", "karras", "logsnr", "leading", "trailing", "quadratic", "edm", "linspace-ms")
MODELS = {
    "vp": {},
    "edm": {"family": "edm", "schedule": "edm", "prediction": "data"},
    "flow": {"family": "flow", "schedule": "rectified", "prediction": "flow"},
}
CASES = [
    *(("vp", grid) for grid in VP),
    *(("edm", grid) for grid in ("few-step", "karras", "logsnr")),
    *(("flow", grid) for grid in ("flow", "flow-shift", "logsnr")),
]


def calibrator(family: str) -> Calibrator:
    return Calibrator(MixtureModel.load(dtype="float64", **MODELS[family]).denoiser, seed=3)


def ends(calibrator: Calibrator, recipe: Recipe, samples: int = 32) -> np.ndarray:
    return calibrator.states(recipe, samples)[-1].x.double().numpy()


def stopping(recipe: Recipe, calibrator: Calibrator) -> Recipe:
    """The recipe ending at its model's smallest noise level, as some schedulers do."""
    schedule = calibrator.denoiser.schedule
    return recipe.model_copy(update={"end": schedule.log_snr(schedule.last)})


def recipes(calibrator: Calibrator, grid: str) -> list[Recipe]:
    recipe = baseline(f"dpmpp_2m-{grid}@4", calibrator.denoiser)
    schedule = calibrator.denoiser.schedule
    reaches = schedule.log_snr(schedule.last) - schedule.log_snr(recipe.steps[-1].time) < 1e-6
    return [recipe] if reaches else [recipe, stopping(recipe, calibrator)]


@pytest.mark.parametrize(("family", "grid"), CASES)
def test_fitted_times_lead_to_the_fine_trajectory_s_end(family: str, grid: str) -> None:
    own = calibrator(family)
    truth = baseline("dpmpp_2m-logsnr@100", own.denoiser)
    for recipe in recipes(own, grid):
        fit = Ends("matched", recipe, own, samples=32, fine=100)
        assert fit.recipe(fit.start).end == "clean"
        # Up to the error of 100 steps; the own end of a few-step grid is 0.2 and 0.5 away.
        assert np.mean((fit.wanted - ends(own, truth)) ** 2) < 0.03


def test_fits_of_few_step_grids_come_near_their_target() -> None:
    own = calibrator("vp")
    truth = ends(own, baseline("dpmpp_2m-logsnr@100", own.denoiser))
    for fit in ("matched", "moments"):
        found = resolve(f"dpmpp_2m-few-step+{fit}:32:2:50@4", own).recipe
        plain = resolve(f"dpmpp_2m-logsnr+{fit}:32:2:50@4", own).recipe
        assert found.end == plain.end == "clean"
        here, there = (np.mean((ends(own, one) - truth) ** 2) for one in (found, plain))
        assert here < 3 * there


@pytest.mark.parametrize(("family", "grid"), CASES)
def test_recorded_trajectories_end_where_their_recipe_does(family: str, grid: str) -> None:
    own = calibrator(family)
    for recipe in recipes(own, grid):
        last = math.inf if recipe.end == "clean" else recipe.end
        recorded = record_trajectory(recipe, own, steps=100, samples=4)
        assert recorded.recipe.end == recipe.end
        assert recorded.log_snrs[-1] == pytest.approx(last)
        assert fine_dpmpp(recipe, own.denoiser, steps=50)[0].end == recipe.end


@pytest.mark.parametrize("fit", ["boss:30:8", "olss:30:8", "dc:5:30", "v3:30:20"])
def test_other_fits_keep_the_recipe_s_end(fit: str) -> None:
    own = calibrator("vp")
    plain = baseline("dpmpp_2m-few-step@5", own.denoiser)
    assert plain.end != "clean"
    assert resolve(f"dpmpp_2m-few-step+{fit}@5", own).recipe.end == plain.end
