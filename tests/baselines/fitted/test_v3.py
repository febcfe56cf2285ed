"""Empirical model statistics: what is measured is what is true where the truth is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fine import teacher
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.fine_trajectory import mean_square
from autosearch.baselines.fitted.names import resolve
from autosearch.baselines.fitted.v3 import (
    diagonal,
    read_calibration,
    statistics,
    statistics_of,
    with_statistics,
    write_calibration,
)
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.schedules import VariancePreserving
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.recipe import Recipe


def gaussian(*, seed: int = 0) -> tuple[ExactDenoiser, np.ndarray]:
    factor = np.random.default_rng(seed).standard_normal((3, 3))
    covariance = factor @ factor.T + 0.1 * np.eye(3)
    mixture = Mixture.gaussian(np.array([1.0, -1, 0.5]), covariance)
    return ExactDenoiser(mixture, VariancePreserving(), "v", dtype=torch.float64), covariance


def test_hutchinson_converges_to_the_true_diagonal() -> None:
    denoiser, covariance = gaussian()
    calibrator = Calibrator(denoiser)
    step = calibrator.plan(baseline("ddim@2", denoiser)).steps[0]
    alpha, sigma = denoiser.schedule.alpha_sigma(step.log_snr)
    # noise = sigma (alpha**2 C + sigma**2)**-1 (x - alpha mean)
    inverse = np.linalg.inv(alpha**2 * covariance + sigma**2 * np.eye(3))
    truth = sigma**2 * torch.tensor(np.diag(inverse).tolist(), dtype=torch.float64)
    errors = []
    for count in (100, 40_000):
        signs = torch.randint(0, 2, (count, 3), generator=calibrator.generator) * 2.0 - 1.0
        x = calibrator.noise(count)
        found = diagonal(calibrator, step, x, None, signs)
        errors.append(float((found - truth).abs().max()))
    assert errors[1] < 5e-3
    assert errors[1] < errors[0]
    assert calibrator.forward_equivalents == pytest.approx(3 * 40_100)


def correlated(dimension: int = 32) -> tuple[ExactDenoiser, torch.Tensor, torch.Tensor]:
    """A Gaussian whose neighbouring pixels are alike, its mean and its covariance."""
    at = np.arange(dimension)
    covariance = np.exp(-((at[:, None] - at) ** 2) / 18) + 0.01 * np.eye(dimension)
    mean = np.cos(at)
    mixture = Mixture.gaussian(mean, covariance)
    denoiser = ExactDenoiser(mixture, VariancePreserving(), "noise", dtype=torch.float64)
    return denoiser, torch.as_tensor(mean), torch.as_tensor(covariance)


def true_statistics(
    log_snrs: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Those of a Gaussian, in closed form.

    With ``z = y - mean`` and ``M = q (C + q)**-1``, where ``q = exp(-2 lambda)``: ``z' = -M z`` and
    ``f = (M - l) z - l mean``.
    """
    tables: dict[str, list[torch.Tensor]] = {"l": [], "s": [], "b": []}
    unit = torch.eye(len(mean), dtype=torch.float64)
    for q in torch.exp(-2 * log_snrs).tolist():
        inverse = torch.linalg.inv(covariance + q * unit)
        rate = q * inverse
        change = 2 * q * q * inverse @ inverse - 2 * rate
        own, slope = rate.diagonal(), change.diagonal()
        f = rate - torch.diag(own)
        f_change = change - torch.diag(slope) - f @ rate
        spread = covariance + q * unit
        scale = (f_change @ spread @ f.T).diagonal() / (f @ spread @ f.T).diagonal()
        for name, value in (("l", own), ("s", scale), ("b", (scale * own - slope) * mean)):
            tables[name].append(value)
    return {"log_snr": log_snrs} | {name: torch.stack(rows) for name, rows in tables.items()}


def test_a_hundred_samples_do_nearly_as_well_as_the_truth() -> None:
    """With every level's l as measured it is ten times as far off as with the true statistics."""
    denoiser, mean, covariance = correlated()
    store = ArtifactStore()
    calibrator, fresh = Calibrator(denoiser, store), Calibrator(denoiser, store, seed=4)
    fine = fresh.states(teacher(denoiser, 60), 100)[-1].x

    def error(recipe: Recipe) -> float:
        return mean_square(fresh.states(recipe, 100)[-1].x, fine)

    plain = baseline("unipc-quadratic@6", denoiser)
    found = statistics(plain, calibrator, levels=120, samples=100)
    tables = store.tensors(found)
    exact = true_statistics(tables["log_snr"].double(), mean, covariance)
    assert (tables["l"] - exact["l"]).square().mean().sqrt() < 0.01  # 0.018 as measured
    truth = calibrator.keep("v3", {}, exact)
    measured, best = (error(with_statistics(plain, one)) for one in (found, truth))
    assert best < 0.1 * error(plain)
    assert measured < 1.8 * best


def test_of_a_gaussian_without_correlations_all_three_are_exact() -> None:
    own, mean = torch.tensor([0.3, 2.5], dtype=torch.float64), torch.tensor([1.0, -2.0]).double()
    log_snrs = torch.linspace(-3, 3, 601, dtype=torch.float64)
    square = torch.exp(-2 * log_snrs)[:, None]
    linear = square / (own + square)
    unit = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # Along trajectories y - mean grows with the standard deviation of y.
    y = mean + unit * torch.sqrt(own + square)[:, None]
    noise = torch.exp(log_snrs)[:, None, None] * linear[:, None] * (y - mean)
    found = statistics_of(log_snrs, y, noise, linear)
    slope = 2 * linear * (1 - linear) * mean
    inner = slice(10, -10)
    torch.testing.assert_close(found["b"][inner], slope[inner], rtol=2e-2, atol=2e-3)
    assert (found["s"] == 0).all()


@pytest.mark.parametrize("model", ["vp", "cosine", "edm", "flow"])
def test_it_is_nearer_to_the_fine_trajectory(make, model: str) -> None:
    denoiser = make(model)
    store = ArtifactStore()
    calibrator, fresh = Calibrator(denoiser, store), Calibrator(denoiser, store, seed=4)
    truth = fresh.states(baseline("dpmpp_2m@200", denoiser), 200)[-1].x

    def error(name: str) -> float:
        return mean_square(fresh.states(resolve(name, calibrator).recipe, 200)[-1].x, truth)

    assert error("ddim+v3:60:50@6") < error("ddim@6")
    # Also from pure noise, where a flow begins, and from next to it, where cosine betas do: there
    # rounding errors, magnified, once made it four times as far.
    assert error("unipc+v3:120:100@6") < 1.05 * error("unipc@6")


def test_it_is_measured_once(make) -> None:
    denoiser = make("vp")
    calibrator = Calibrator(denoiser)
    first = resolve("unipc+v3:40:20@5", calibrator).recipe
    # A fine trajectory, and a gradient at each of its points.
    assert calibrator.forward_equivalents == pytest.approx(41 * 20 * (1 + 3))
    again = Calibrator(denoiser, calibrator.artifact_store)
    second = resolve("dpmpp_3m+v3:40:20@7", again).recipe
    assert again.forward_equivalents == 0
    assert first.artifacts == second.artifacts
    assert {step.form for step in second.steps} == {"v3"}
    other = Calibrator(denoiser, calibrator.artifact_store, seed=1)
    assert statistics(first, other, levels=40, samples=20) not in first.artifacts.values()


def test_a_network_gives_gradients_with_guidance() -> None:
    denoiser = DigitsModel.load().denoiser
    calibrator = Calibrator(denoiser)
    data = baseline("ddim@4", denoiser).to_dict()
    for step in data["steps"]:
        step["guidance"] = [{"rule": "cfg", "scale": 2.0}]
    recipe = type(baseline("ddim@4", denoiser)).from_dict(data)
    found = statistics(recipe, calibrator, levels=10, samples=10)
    tables = calibrator.artifact_store.tensors(found)
    assert tables["l"].shape == (11, *denoiser.sample_shape)
    assert all(table.isfinite().all() for table in tables.values())
    # Of nearly pure noise the noise is nearly all.
    assert float(tables["l"][0].mean()) == pytest.approx(1, abs=0.2)


def test_what_it_cannot_be_combined_with_is_refused(make) -> None:
    calibrator = Calibrator(make("vp"))
    with pytest.raises(UserError, match="no stochastic version"):
        resolve("ddpm+v3:40:40@4", calibrator)
    with pytest.raises(UserError, match="the recipe's steps have weights"):
        resolve("ddim+olss:20:10+v3:40:40@4", calibrator)


# -- files -----------------------------------------------------------------------------------


@pytest.fixture
def calibration(make, tmp_path: Path) -> Path:
    calibrator = Calibrator(make("vp"))
    found = statistics(baseline("ddim@4", calibrator.denoiser), calibrator, levels=40, samples=40)
    write_calibration(tmp_path / "v3.safetensors", found, calibrator)
    return tmp_path / "v3.safetensors"


def test_a_file_serves_any_recipe_of_the_model(make, calibration: Path) -> None:
    calibrator = Calibrator(make("vp"))
    found = resolve(f"unipc+v3_from:{calibration}@5", calibrator).recipe
    assert calibrator.forward_equivalents == 0
    measured = resolve("unipc+v3:40:40@5", Calibrator(make("vp"))).recipe
    assert found == measured
    calibrator.states(found, 5)


def test_damaged_and_foreign_files_are_refused_in_one_line(make, calibration: Path) -> None:
    with pytest.raises(UserError, match="measured on another model") as error:
        read_calibration(str(calibration), Calibrator(gaussian()[0]), method="v3")
    assert "\n" not in str(error.value)
    calibrator, content = Calibrator(make("vp")), calibration.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    for damaged in (flipped, content[:100], b"nothing"):
        calibration.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            read_calibration(str(calibration), calibrator, method="v3")
    calibration.write_bytes(content)
    with pytest.raises(UserError, match="for 'v3', not for 'dc'"):
        read_calibration(str(calibration), calibrator, method="dc")
    with pytest.raises(UserError, match="no such calibration"):
        read_calibration("nowhere.safetensors", calibrator, method="v3")
