"""Times by a fine trajectory's ends: sample by sample, and by their distribution."""

import numpy as np
import pytest
from support.soaked import soaked
from torch_fidelity.metric_fid import fid_statistics_to_metric

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.moments import MomentsFit, match_ends, match_moments
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.trajectory_ends import Ends
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel
from autosearch.recipe import Recipe


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_residuals_add_up_to_the_frechet_distance(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    mixing = rng.standard_normal((dimension, dimension))
    a = rng.standard_normal((400, dimension)) @ mixing
    b = 0.7 * rng.standard_normal((300, dimension)) + rng.standard_normal(dimension)
    statistics = [
        {"mu": x.mean(axis=0), "sigma": np.cov(x.T).reshape(dimension, -1)} for x in (a, b)
    ]
    known = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert MomentsFit(a).distance(b) == pytest.approx(known, rel=1e-6)
    assert MomentsFit(a).distance(a) == pytest.approx(0, abs=1e-9)


def test_axes_without_variance_and_beyond_the_samples_are_left_out() -> None:
    rng = np.random.default_rng(0)
    flat = np.hstack([rng.standard_normal((80, 3)), np.ones((80, 2))])
    assert len(MomentsFit(flat).residuals(flat)) == 3 + 9
    wide = rng.standard_normal((80, 40))
    assert len(MomentsFit(wide).residuals(wide)) == 10 + 100


def test_what_cannot_be_sampled_is_far() -> None:
    distance = MomentsFit(np.random.default_rng(0).standard_normal((80, 2)))
    for bad in (None, np.full((80, 2), np.nan)):
        assert distance.residuals(bad).shape == (6,)
        assert distance.distance(bad) > 10


def frechet(model: MixtureModel, recipe: Recipe) -> float:
    """To the model's true moments, by samples that no fit has seen."""
    calibrator = Calibrator(model.denoiser, seed=12345)
    x = calibrator.states(recipe, 10_000)[-1].x.double().numpy()
    sides = [
        {"mu": x.mean(axis=0), "sigma": np.cov(x.T)},
        {
            "mu": model.reference["features_mean"],
            "sigma": model.reference["features_cov"],
        },
    ]
    return float(fid_statistics_to_metric(*sides, verbose=False)["frechet_inception_distance"])


@pytest.mark.parametrize("seed", soaked([0, 1, 2], but=1))
@pytest.mark.parametrize("steps", [2, 3, 4, 6, 9])
def test_moments_are_nearer_than_the_best_grid(steps: int, seed: int) -> None:
    model = MixtureModel.load()
    calibrator = Calibrator(model.denoiser, seed=seed)
    grids = [baseline(f"dpmpp_2m{grid}@{steps}", calibrator.denoiser) for grid in ("", "-logsnr")]
    found = match_moments(baseline(f"dpmpp_2m-logsnr@{steps}", calibrator.denoiser), calibrator)
    best = min(frechet(model, grid) for grid in grids)
    # Where the best grid is near the data, the rounding of kernels moves what is fitted.
    assert frechet(model, found) < (0.75 if steps < 9 else 0.9) * best
    # As much as a few candidates of 4,000 samples.
    assert calibrator.forward_equivalents < 4 * 4000 * steps


def test_matched_ends_are_nearer_and_cost_little() -> None:
    model = MixtureModel.load()
    calibrator = Calibrator(model.denoiser)
    before = baseline("dpmpp_2m-logsnr@6", calibrator.denoiser)
    after = match_ends(before, calibrator)
    assert calibrator.forward_equivalents < 4000 * 6
    fresh = Calibrator(model.denoiser, seed=9)
    ends = Ends("test", before, fresh, samples=500, fine=100)
    apart = [
        float(((fresh.states(r, 500)[-1].x.double().numpy() - ends.wanted) ** 2).mean())
        for r in (before, after)
    ]
    assert apart[1] < 0.95 * apart[0]


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
@pytest.mark.parametrize("fit", ["matched:8:1:20", "moments:16:1:20"])
def test_only_times_change(make, model: str, fit: str) -> None:
    calibrator = Calibrator(make(model))
    before = baseline("dpmpp_2m@5", calibrator.denoiser)
    after = resolve(f"dpmpp_2m+{fit}@5", calibrator).recipe
    assert [s.time for s in before.steps] != [s.time for s in after.steps]
    same = {"time": 0.0, "log_snr": None}
    assert [s.model_copy(update=same) for s in after.steps] == [
        s.model_copy(update=same) for s in before.steps
    ]
    assert after.end == "clean"
    calibrator.plan(after)


@pytest.mark.parametrize("fit", ["matched:8:1:20", "moments:16:1:20"])
def test_equal_seeds_fit_equal_times(make, fit: str) -> None:
    fitted = [
        resolve(f"dpmpp_2m+{fit}@3", Calibrator(make("vp"), seed=seed)).recipe.steps
        for seed in (1, 1, 2)
    ]
    assert fitted[0] == fitted[1]
    assert fitted[0] != fitted[2]


@pytest.mark.parametrize("fit", [match_ends, match_moments])
def test_noise_on_the_way_is_refused(make, fit) -> None:
    calibrator = Calibrator(make("vp"))
    plain = baseline("ddim@4", calibrator.denoiser)
    noisy = plain.model_copy(
        update={"steps": [s.model_copy(update={"eta": 0.5}) for s in plain.steps]}
    )
    with pytest.raises(UserError, match="set eta to 0"):
        fit(noisy, calibrator)
