"""The distance to a fine trajectory's samples: closed forms, and what it sees through the noise."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from support.soaked import soaked
from torch_fidelity.metric_fid import fid_statistics_to_metric

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.trajectory_ends import Gaps
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Fid, TeacherFd, TeacherFid
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


@pytest.mark.soak
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


def spectrum(size: int, kind: str) -> np.ndarray:
    """Standard deviations [size] whose squares add up to 100, so that a tenth of each is 1."""
    variances = np.ones(size) if kind == "flat" else 1 / np.arange(1, size + 1)
    return np.sqrt(100 * variances / variances.sum())


@pytest.mark.parametrize("kind", ["flat", "decaying"])
@pytest.mark.parametrize(
    ("size", "count"), soaked([(1024, 400), (300, 400), (1024, 100), (2000, 400)], but=2)
)
def test_what_the_components_leave_out_is_seen(size: int, count: int, kind: str) -> None:
    rng = np.random.default_rng(size)
    deviations = spectrum(size, kind)
    wanted = rng.standard_normal((count, size)) * deviations
    shifted = estimate(wanted + 0.1 * deviations, wanted)
    assert shifted.value == pytest.approx(1.0, rel=1e-6)
    assert shifted.interval()[0] <= 1.0 <= shifted.interval()[1] + 1e-9
    own = wanted.var(axis=0, ddof=1).sum()
    assert estimate(0.9 * wanted, wanted).value == pytest.approx(
        0.01 * own + 0.01 * (wanted.mean(axis=0) ** 2).sum(), rel=1e-6
    )
    # Half of the coordinates too small: components that cut across them see less of it.
    scales = np.where(np.arange(size) % 2, 0.8, 1.0)
    truth = ((1 - scales) ** 2 * deviations**2).sum()
    assert 0.65 * truth < estimate(wanted * scales, wanted).value < 1.25 * truth


@pytest.mark.parametrize("degrees", [5.0, 20.0, 45.0, 90.0])
def test_rotations_of_the_large_components_are_seen(degrees: float) -> None:
    size, count = 1024, 400
    deviations = np.r_[10.0, 2.0, np.full(size - 2, 0.1)]
    wanted = np.random.default_rng(5).standard_normal((count, size)) * deviations
    angle = np.radians(degrees)
    turn = np.eye(size)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    covariance = np.diag(deviations[:2] ** 2)
    moved = turn[:2, :2].T @ covariance @ turn[:2, :2]
    root = np.diag(deviations[:2])
    cross = np.sqrt(np.linalg.eigvalsh(root @ moved @ root)).sum()
    truth = np.trace(covariance) + np.trace(moved) - 2 * cross
    assert estimate(wanted @ turn, wanted).value == pytest.approx(truth, rel=0.15)


def test_it_is_never_above_the_whole_distance() -> None:
    rng = np.random.default_rng(6)
    for _ in range(5):
        mixing = np.eye(60) + 0.1 * rng.standard_normal((60, 60))
        wanted = rng.standard_normal((200, 60))
        ends = wanted @ mixing + 0.1
        assert estimate(ends, wanted).value <= frechet(ends, wanted) * (1 + 1e-9)


def test_leaving_a_block_out_leaves_it_out_of_the_rest_too() -> None:
    rng = np.random.default_rng(7)
    wanted = rng.standard_normal((100, 40))
    ends = 1.1 * wanted + 0.1 * rng.standard_normal(40)
    axes, _ = components(wanted)
    middle = wanted.mean(axis=0)

    def whole(kept: slice) -> float:
        inner = [(rows[kept] - middle) @ axes for rows in (ends, wanted)]
        rest = [
            rows[kept] - middle - at @ axes.T
            for rows, at in zip((ends, wanted), inner, strict=True)
        ]
        means, deviations = ([f(x) for x in rest] for f in (np_mean, np_deviation))
        beyond = ((means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2).sum()
        return frechet(*inner) + float(beyond)

    found = estimate(ends, wanted, blocks=20)
    assert found.value == pytest.approx(whole(slice(0, 100)), rel=1e-6)
    assert found.pseudo[0] == pytest.approx(20 * found.value - 19 * whole(slice(5, 100)), rel=1e-4)


def np_mean(rows: np.ndarray) -> np.ndarray:
    return rows.mean(axis=0)


def np_deviation(rows: np.ndarray) -> np.ndarray:
    return rows.std(axis=0, ddof=1)


def test_nothing_is_left_where_the_components_are_all_there_is() -> None:
    rng = np.random.default_rng(8)
    wanted = rng.standard_normal((400, 9))
    ends = wanted @ (np.eye(9) + 0.05 * rng.standard_normal((9, 9)))
    assert estimate(ends, wanted).value == pytest.approx(frechet(ends, wanted), rel=1e-6)


@pytest.mark.parametrize(("dimension", "tolerance"), [(3, 1e-3), (30, 0.35)])
def test_of_features_it_says_what_it_is_made_of(dimension: int, tolerance: float) -> None:
    rng = np.random.default_rng(dimension)
    wanted = rng.standard_normal((400, dimension)) * np.linspace(0.5, 2.0, dimension)
    rows = {"features": 0.9 * wanted + 0.2, "teacher_features": wanted}
    found = TeacherFid().estimate(rows, {}, 20)
    same = estimate(rows["features"], wanted)
    assert (found.value, found.pseudo) == (same.value, same.pseudo)
    assert same.residuals == ()
    residuals = np.array(found.residuals)
    # Of many residuals 128 random sums, which are as large in all within a tenth or two.
    assert len(residuals) == min(dimension + dimension**2 + 2 * dimension, 128)
    assert (residuals**2).sum() == pytest.approx(found.value, rel=tolerance)
    assert TeacherFid().estimate(rows, {}, 20).residuals == found.residuals
    still = TeacherFid().estimate({**rows, "features": wanted}, {}, 20)
    assert np.abs(still.residuals).max() < 1e-6
