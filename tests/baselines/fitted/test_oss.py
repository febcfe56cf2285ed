"""OSS: paths equal those of a slow explicit version, and on a Gaussian the best of all."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import record_trajectory
from autosearch.baselines.fitted.names import fit_forwards, resolve
from autosearch.baselines.fitted.oss import fit_oss, oss_paths
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.schedules import (
    EDM,
    NoiseSchedule,
    RectifiedFlow,
    VariancePreserving,
)
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture


def gaussian(scale: float) -> ExactDenoiser:
    """One normal coordinate of EDM's, in double precision."""
    data = Mixture.gaussian(np.zeros(1), np.array([[scale**2]]))
    return ExactDenoiser(data, EDM(), "data", dtype=torch.float64)


def explicit_path(denoiser: ExactDenoiser, levels: list[float], noise: torch.Tensor, steps: int):
    """The path of one sample [1, D], cell by cell; levels are half log-SNRs, the end's last."""
    scales = [denoiser.schedule.alpha_sigma(level) for level in levels]
    count = len(levels) - 1

    def move(x: torch.Tensor, i: int, j: int) -> torch.Tensor:
        (alpha, sigma), (next_alpha, next_sigma) = scales[i], scales[j]
        data = denoiser.posterior_mean(x, alpha, sigma)
        return next_alpha * data + next_sigma * (x - alpha * data) / sigma

    def start(i: int) -> torch.Tensor:
        edm = denoiser.schedule.family == "edm"
        return noise * np.hypot(*scales[i]) if edm else noise

    fine = [start(0)]
    for i in range(count):
        fine.append(move(fine[-1], i, i + 1))
    states: dict[int, tuple[torch.Tensor, list[int]]] = {i: (start(i), [i]) for i in range(count)}
    for _ in range(steps):
        reached: dict[int, tuple[float, torch.Tensor, list[int]]] = {}
        for i, (x, path) in states.items():
            for j in range(i + 1, count + 1):
                there = move(x, i, j)
                cost = float(((there - fine[j]) ** 2).mean())
                if j not in reached or cost < reached[j][0]:
                    reached[j] = cost, there, [*path, j]
        states = {j: (x, path) for j, (_, x, path) in reached.items() if j < count}
    return reached[count][2]


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [(VariancePreserving(), "noise"), (EDM(), "data"), (RectifiedFlow(), "flow")],
)
@pytest.mark.parametrize("steps", [1, 3])
def test_paths_are_those_of_an_explicit_search(
    schedule: NoiseSchedule, prediction, steps: int
) -> None:
    mixture = Mixture.random(components=3, dimension=3, seed=1)
    denoiser = ExactDenoiser(mixture, schedule, prediction, dtype=torch.float64)
    calibrator = Calibrator(denoiser)
    recipe = baseline(f"ddim@{steps}", denoiser)
    way = record_trajectory(recipe, calibrator, steps=12, samples=5)
    found = oss_paths(way, calibrator, steps)
    for n in range(5):
        noise = calibrator.noise(5)[n : n + 1]
        assert found[n].tolist() == explicit_path(denoiser, list(way.log_snrs), noise, steps)
    points = [way.recipe.steps[i].time for i in np.floor(np.median(found, axis=0)).astype(int)[:-1]]
    assert [step.time for step in fit_oss(recipe, calibrator, 12, 5).steps] == points


@pytest.mark.parametrize("steps", [2, 3])
def test_on_a_gaussian_the_greedy_path_is_the_best(steps: int) -> None:
    """From N(0, s^2) Euler's step keeps ``(s^2 + a b) / (s^2 + a^2)`` of a state: the end shrinks.

    The state that shrank least is the nearest to the fine one at every point, so that keeping it
    alone loses nothing, and the best path is the one that keeps most of the state.
    """
    scale, fine = 8.0, 14
    calibrator = Calibrator(gaussian(scale))
    recipe = baseline(f"ddim@{steps}", calibrator.denoiser)
    way = record_trajectory(recipe, calibrator, steps=fine, samples=3)
    sigmas = [*(step.time for step in way.recipe.steps), 0.0]

    def end(path: tuple[int, ...]) -> float:
        value = np.sqrt(1 + sigmas[path[0]] ** 2)
        for i, j in itertools.pairwise(path):
            value *= (scale**2 + sigmas[i] * sigmas[j]) / (scale**2 + sigmas[i] ** 2)
        return float(value)

    every = [(*points, fine) for points in itertools.combinations(range(fine), steps)]
    best = max(every, key=end)
    assert end(best) < end(tuple(range(fine + 1)))
    assert [path.tolist() for path in oss_paths(way, calibrator, steps)] == [list(best)] * 3


def test_a_path_may_begin_anywhere() -> None:
    """The trap: the initial noise stands for the state at any time, and here it is one."""
    calibrator = Calibrator(gaussian(1.0))
    found = resolve("ddim+oss:30:5@3", calibrator).recipe
    assert found.steps[0].time < EDM().first
    assert calibrator.plan(found).start_scale == pytest.approx(np.hypot(1, found.steps[0].time))


def test_a_path_of_all_steps_is_the_fine_trajectory(make: Callable[[str], ExactDenoiser]) -> None:
    calibrator = Calibrator(make("flow"))
    recipe = baseline("ddim@8", calibrator.denoiser)
    way = record_trajectory(recipe, calibrator, steps=8, samples=4)
    assert oss_paths(way, calibrator, 8).tolist() == [list(range(9))] * 4


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_only_times_change_and_every_forward_is_counted(
    make: Callable[[str], ExactDenoiser], model: str
) -> None:
    name = "unipc+oss:30:4@5"
    calibrator = Calibrator(make(model))
    before = baseline("unipc@5", calibrator.denoiser)
    found = resolve(name, calibrator)
    after = found.recipe
    spent = 4 * (30 + 5 * 26)
    declared = fit_forwards([name], calibrator.denoiser)
    assert found.forward_equivalents == pytest.approx(spent) == pytest.approx(declared)
    same = {"time": 0.0, "log_snr": None}
    assert [s.model_copy(update=same) for s in after.steps] == [
        s.model_copy(update=same) for s in before.steps
    ]
    calibrator.plan(after)
    assert resolve(name, Calibrator(make(model))).recipe == after


def test_guided_networks_are_asked_with_their_branches(
    random_dit: Callable[..., NetworkDenoiser],
) -> None:
    denoiser = random_dit()
    name = "ddim+oss:12:5@3"
    calibrator = Calibrator(denoiser)
    found = resolve(name, calibrator)
    declared = fit_forwards([name], denoiser)
    assert found.forward_equivalents == pytest.approx(declared)
    assert resolve(name, Calibrator(denoiser)).recipe == found.recipe


def test_an_end_before_the_clean_one_is_kept(make: Callable[[str], ExactDenoiser]) -> None:
    name = "ddim-few-step+oss:40:4@4"
    calibrator = Calibrator(make("vp"))
    found = resolve(name, calibrator)
    assert found.recipe.end == baseline("ddim-few-step@4", calibrator.denoiser).end
    declared = fit_forwards([name], calibrator.denoiser)
    assert found.forward_equivalents == pytest.approx(declared)


def test_refusals(make: Callable[[str], ExactDenoiser]) -> None:
    with pytest.raises(UserError, match="has 4 steps, and the recipe 5; use more"):
        resolve("ddim+oss:4@5", Calibrator(make("vp")))
