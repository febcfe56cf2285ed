"""The distance to a fine trajectory's samples: closed forms, and what it sees through the noise."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from torch_fidelity.metric_fid import fid_statistics_to_metric

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.trajectory_ends import Gaps
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Fid, TeacherFd
from autosearch.objectives.teacher_fd import components


def statistics(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"mu": rows.mean(axis=0), "sigma": np.cov(rows.T)}


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    found = fid_statistics_to_metric(statistics(a), statistics(b), verbose=False)
    return float(found["frechet_inception_distance"])


def estimate(ends: np.ndarray, wanted: np.ndarray, blocks: int = 20):
    return TeacherFd().estimate({"final": ends, "teacher": wanted}, {}, blocks)


@pytest.mark.parametrize("dimension", [2, 9])
def test_it_is_the_frechet_distance_of_the_two_sets(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    wanted = rng.standard_normal((400, dimension)) @ rng.standard_normal((dimension, dimension))
    ends = 0.8 * wanted + 0.3 * rng.standard_normal((400, dimension)) + 0.5
    found = estimate(ends, wanted)
    assert found.value == pytest.approx(frechet(ends, wanted), rel=1e-6)
    assert estimate(wanted, wanted).value == pytest.approx(0, abs=1e-9)


def test_leaving_a_block_out_leaves_it_out_of_both() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((100, 3))
    ends = 1.1 * wanted + 0.2
    found = estimate(ends, wanted, blocks=20)
    first = 20 * found.value - 19 * frechet(ends[5:], wanted[5:])
    assert found.pseudo[0] == pytest.approx(first, rel=1e-6)


def test_directions_without_variance_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    wanted = np.hstack([rng.standard_normal((200, 3)), np.zeros((200, 2))])
    ends = wanted * 1.2
    assert estimate(ends, wanted).value == pytest.approx(frechet(ends[:, :3], wanted[:, :3]))


@pytest.mark.parametrize("shape", [(96, 300), (300, 96), (96, 96)])
def test_the_components_are_the_largest_of_the_covariance(shape: tuple[int, int]) -> None:
    wanted = np.random.default_rng(2).standard_normal(shape) * np.linspace(0.1, 3.0, shape[1])
    axes, variances = components(wanted)
    assert len(variances) == shape[0] // 8
    assert np.allclose(variances, np.linalg.eigvalsh(np.cov(wanted.T))[-len(variances) :])
    assert np.allclose(axes.T @ np.cov(wanted.T) @ axes, np.diag(variances), atol=1e-9)


def test_one_objective_measures_against_several_trajectories_in_turn() -> None:
    rng = np.random.default_rng(3)
    trajectories = [rng.standard_normal((100, 3)), rng.standard_normal((100, 3))]
    ends = rng.standard_normal((100, 3))
    once = TeacherFd()
    for wanted in trajectories * 2:
        again = once.estimate({"final": ends, "teacher": wanted}, {}, 20)
        assert again == estimate(ends, wanted)


def test_few_samples_order_recipes_as_many_do_against_the_truth() -> None:
    model = MixtureModel.load()
    denoiser = model.denoiser
    few, many = Calibrator(denoiser, seed=1), Calibrator(denoiser, seed=2)
    gaps, rng = Gaps(denoiser.schedule), np.random.default_rng(0)
    base = baseline("dpmpp_2m-logsnr@8", denoiser)
    start = gaps.from_times([step.time for step in base.steps])
    recipes = [gaps.apply(base, start + 0.3 * rng.standard_normal(8)) for _ in range(30)]

    def ends(calibrator: Calibrator, recipe: object, samples: int) -> np.ndarray:
        return calibrator.states(recipe, samples)[-1].x.double().numpy()

    def fid(x: np.ndarray) -> float:
        return Fid().estimate({"features": x}, model.reference, 20).value

    wanted = ends(few, baseline("dpmpp_2m@100", denoiser), 200)
    truth = [fid(ends(many, recipe, 20_000)) for recipe in recipes]
    sampled = [ends(few, recipe, 200) for recipe in recipes]
    paired = spearmanr([estimate(x, wanted).value for x in sampled], truth).statistic
    plain = spearmanr([fid(x) for x in sampled], truth).statistic
    assert paired > 0.95
    assert paired > plain + 0.1
