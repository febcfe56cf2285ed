"""DC-Solver (2024): a ratio for each step, fitted to a fine trajectory, one step after the other.

A ratio says at which time the newest prediction is taken, by the polynomial through the last three;
see :mod:`autosearch.diffusion.plan.compensation`. That of a step is the one after which the state,
with the corrector's second look where the step has one, is nearest to the fine trajectory's.
Published: 40 iterations of AdamW at rate 0.1 against the nearest earlier state of DDIM in 200 or
999 steps. Here a bounded search for one number, which needs no gradients, against DPM-Solver++(2M),
which passes through the recipe's own times; a ratio that gains nothing stays 1.
"""

from pathlib import Path

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from autosearch.baselines.base import Setting
from autosearch.baselines.fitted.base import Fit, check_recipe, with_steps
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.cascade import Cascade
from autosearch.baselines.fitted.fine_trajectory import fine_states, mean_square
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan.compensation import LEAST_HISTORY
from autosearch.diffusion.sampling.sampler import plan_statistics
from autosearch.diffusion.sampling.stepper import Stepper
from autosearch.diffusion.solvers import Evaluation
from autosearch.recipe import Recipe

__all__ = ["FITS", "fit_compensation"]

_SAMPLES = 20
_FINE = 200
_BOUNDS = (0.0, 2.0)
_PRECISION = 1e-3
# About so many ratios are tried until one is found.
_TRIED = 8


def fit_compensation(
    recipe: Recipe, calibrator: Calibrator, samples: int = _SAMPLES, fine: int = _FINE
) -> Recipe:
    """The recipe with a ratio in every step from the third on.

    Args:
        recipe: deterministic.
        calibrator: the model.
        samples: to fit on; published: 10.
        fine: steps of the fine trajectory, about.

    Raises:
        UserError: for stochastic recipes.
    """
    check_recipe(recipe, "DC-Solver", noisy=False)
    nothing: dict[str, object] = {"sites": {}, "gate": None, "rectify": None, "compensation": 1.0}
    fitted = with_steps(recipe, [nothing] * len(recipe.steps), pruned=[])
    wanted = fine_states(fitted, calibrator, steps=fine, samples=samples)
    network = calibrator.network(samples)
    plan = calibrator.plan(fitted)
    start = plan.start_scale * calibrator.noise(samples)
    statistics = plan_statistics(plan, calibrator.denoiser, calibrator.artifact_store)
    stepper = Stepper(plan, calibrator.denoiser.schedule, start, statistics=statistics)
    with torch.inference_mode():
        while not stepper.finished:
            evaluation = network.evaluate(stepper.step, stepper.x)
            ahead = stepper.fork(stepper.plan)
            if ahead.tell(evaluation) and stepper.done + 1 >= LEAST_HISTORY:
                target = wanted[stepper.done + 1]
                ratio = _best_ratio(fitted, calibrator, stepper, evaluation, target)
                fitted = _with_ratio(fitted, stepper.done, ratio)
                ahead = stepper.fork(calibrator.plan(fitted))
                ahead.tell(evaluation)
            stepper = ahead
    return with_steps(recipe, [{"compensation": step.compensation} for step in fitted.steps])


def _best_ratio(
    recipe: Recipe, calibrator: Calibrator, stepper: Stepper, evaluation: Evaluation, wanted: Tensor
) -> float:
    """The ratio, to a thousandth, of the stepper's next step; 1 unless another one is better.

    Args:
        recipe: with the ratios of the steps before.
        calibrator: the model.
        stepper: where the step begins.
        evaluation: the network's evaluation there.
        wanted: the state [N, *sample_shape] that the step should reach.
    """
    network = calibrator.network(len(wanted))

    def error(ratio: float) -> float:
        """The mean square distance after the step and what its corrector does about it."""
        plan = calibrator.plan(_with_ratio(recipe, stepper.done, float(ratio)))
        ahead = stepper.fork(plan)
        ahead.tell(evaluation)
        if plan.steps[ahead.done - 1].corrector is None:
            return mean_square(ahead.x, wanted)
        complete = ahead.tell(network.evaluate(ahead.step, ahead.x))
        return mean_square(ahead.newest.x if complete else ahead.x, wanted)

    search = minimize_scalar(error, bounds=_BOUNDS, method="bounded", options={"xatol": _PRECISION})
    ratio = round(float(search.x), 3)
    return ratio if error(ratio) < error(1.0) else 1.0


def _with_ratio(recipe: Recipe, i: int, ratio: float) -> Recipe:
    return with_steps(
        recipe, [{"compensation": ratio} if j == i else {} for j in range(len(recipe.steps))]
    )


def _forwards(recipe: Recipe, denoiser: Denoiser, samples: int, fine: int) -> float:
    count = len(recipe.steps)
    # A corrector asks the network for each ratio that is tried.
    asking = sum(step.corrector != "none" for step in recipe.steps[LEAST_HISTORY - 1 :])
    # Of the fine trajectory's steps the last ones are one.
    return samples * (fine * (1 - 1 / count) + count + _TRIED * asking)


FITS = {
    "dc": Fit(
        "DC-Solver (2024): each newest prediction taken at the time that leads to the fine path",
        (Setting("samples", _SAMPLES, 1, 10_000), Setting("fine steps", _FINE, 2, 1000)),
        fit_compensation,
        "compensation",
        forwards=_forwards,
    ),
    "cpr": Fit(
        "DC-Solver's ratios as a cascade polynomial of a file predicts them",
        (),
        lambda recipe, calibrator, file: Cascade.load(Path(file)).apply(
            recipe, model=calibrator.denoiser.weights
        ),
        "compensation",
        path=True,
    ),
}
