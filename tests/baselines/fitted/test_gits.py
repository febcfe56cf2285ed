"""GITS: costs and path equal those of a slow explicit version."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import record_trajectory
from autosearch.baselines.fitted.gits import chord_deviation, fit_gits
from autosearch.baselines.fitted.names import fit_forwards, resolve
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

FINE, SAMPLES, STEPS = 12, 6, 4


def explicit_costs(calibrator: Calibrator, norm: int) -> np.ndarray:
    """[points, points]: costs of Euler's steps in sigma/alpha, by the publication's formulas."""
    recipe, denoiser = baseline(f"ddim@{STEPS}", calibrator.denoiser), calibrator.denoiser
    way = record_trajectory(recipe, calibrator, steps=FINE, samples=SAMPLES, order=2)
    levels = [
        denoiser.schedule.alpha_sigma(max(v, denoiser.schedule.pure_noise)) for v in way.log_snrs
    ]
    points = [x.double().numpy() / alpha for x, (alpha, _) in zip(way.states, levels, strict=True)]
    rho = [sigma / alpha for alpha, sigma in levels]
    chord = points[0] - points[-1]
    chord = chord / np.linalg.norm(chord, axis=1, keepdims=True)

    def cost(x: np.ndarray, j: int) -> float:
        if norm:
            return float(np.linalg.norm(x - points[j], ord=norm, axis=1).mean())

        def off(y: np.ndarray) -> float:
            ahead = points[-1] - y
            return float(
                np.linalg.norm(ahead - (ahead * chord).sum(1, keepdims=True) * chord, axis=1).mean()
            )

        return off(x) - off(points[j])

    costs = np.full((FINE + 1, FINE + 1), np.inf)
    for i, j in itertools.combinations(range(FINE + 1), 2):
        data = way.evaluations[i].data.double().numpy()
        noise = (points[i] - data) / rho[i]
        costs[i, j] = cost(points[i] + (rho[j] - rho[i]) * noise, j)
    return costs


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
@pytest.mark.parametrize(("norm", "gamma"), [(0, 1.15), (1, 1.0), (2, 1.5)])
def test_the_path_is_the_best_of_all(
    make: Callable[[str], ExactDenoiser], model: str, norm: int, gamma: float
) -> None:
    calibrator = Calibrator(make(model))
    costs = explicit_costs(calibrator, norm)

    def total(path: tuple[int, ...]) -> float:
        ends = (*path, FINE)
        return sum(gamma**k * costs[ends[k], ends[k + 1]] for k in range(STEPS))

    best = min(
        ((0, *inner) for inner in itertools.combinations(range(1, FINE), STEPS - 1)), key=total
    )
    recipe = baseline(f"dpmpp_2m@{STEPS}", calibrator.denoiser)
    found = fit_gits(recipe, calibrator, FINE, SAMPLES, gamma, norm)
    fine = record_trajectory(recipe, calibrator, steps=FINE, samples=SAMPLES).recipe
    assert [step.time for step in found.steps] == [fine.steps[i].time for i in best]


def test_distances_from_a_line() -> None:
    start, end = torch.tensor([[4.0, 0.0, 0.0]] * 3), torch.zeros(3, 3)
    x = torch.tensor([[1.0, 3.0, 4.0], [-7.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    assert chord_deviation(x, start, end).tolist() == pytest.approx([5.0, 2.0, 0.0])


def test_a_later_step_counts_more(make: Callable[[str], ExactDenoiser]) -> None:
    """The larger gamma, the earlier the long steps, and the more points next to the data."""
    calibrator = Calibrator(make("vp"))
    recipe = baseline("ddim@5", calibrator.denoiser)
    times = [
        np.mean([s.time for s in fit_gits(recipe, calibrator, 40, 20, gamma, 2).steps])
        for gamma in (0.5, 1.0, 2.0)
    ]
    assert times[0] > times[1] > times[2]


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_only_times_change_and_every_forward_is_counted(
    make: Callable[[str], ExactDenoiser], model: str
) -> None:
    name = "unipc+gits:30:20@5"
    calibrator = Calibrator(make(model))
    before = baseline("unipc@5", calibrator.denoiser)
    found = resolve(name, calibrator)
    after = found.recipe
    declared = fit_forwards([name], calibrator.denoiser)
    assert found.forward_equivalents == pytest.approx(30 * 20) == pytest.approx(declared)
    assert [s.time for s in before.steps] != [s.time for s in after.steps]
    same = {"time": 0.0, "log_snr": None}
    assert [s.model_copy(update=same) for s in after.steps] == [
        s.model_copy(update=same) for s in before.steps
    ]
    calibrator.plan(after)
    assert resolve(name, Calibrator(make(model))).recipe == after
    assert resolve(name, Calibrator(make(model), seed=1)).forward_equivalents == pytest.approx(600)


def test_an_end_before_the_clean_one_is_kept(make: Callable[[str], ExactDenoiser]) -> None:
    name = "ddim-few-step+gits:40:10@4"
    calibrator = Calibrator(make("vp"))
    found = resolve(name, calibrator)
    assert found.recipe.end == baseline("ddim-few-step@4", calibrator.denoiser).end
    declared = fit_forwards([name], calibrator.denoiser)
    assert found.forward_equivalents == pytest.approx(declared)
    assert math.isfinite(calibrator.plan(found.recipe).steps[-1].next_log_snr)


def test_refusals(make: Callable[[str], ExactDenoiser]) -> None:
    with pytest.raises(UserError, match="has 4 steps, and the recipe 5; use more"):
        resolve("ddim+gits:4@5", Calibrator(make("vp")))
    with pytest.raises(UserError, match="gits's norm is '3'; expected a whole number from 0 to 2"):
        resolve("ddim+gits:60:256:1.15:3@5", Calibrator(make("vp")))
