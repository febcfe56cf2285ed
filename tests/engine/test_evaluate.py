"""Measuring recipes outside a search."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from autosearch.baselines import baseline
from autosearch.diffusion.artifact_store import ArtifactStore
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.engine.evaluate import RecipeEvaluator, default_objectives, load_recipe, paired
from autosearch.errors import UserError
from autosearch.models import DigitsModel, MixtureModel
from autosearch.models.spec import ModelSpec
from autosearch.recipe import Recipe

MIXTURE = ModelSpec("mixture")
evaluator = functools.partial(RecipeEvaluator, MIXTURE, samples=400, seed=0)


@pytest.fixture(scope="module")
def model() -> MixtureModel:
    return MixtureModel.load()


def test_the_values_are_those_of_the_evaluate_stream(model: MixtureModel) -> None:
    recipe = baseline("ddim@4", model.denoiser)
    (found,) = evaluator(objectives=["fid_plain", "nfe"], seed=3).evaluate({"ddim": recipe})
    plan = compile_recipe(recipe, model.denoiser)
    parts = [
        sample_indices(
            model.denoiser, plan, range(i, i + 100), seed=3, stream=Stream.EVALUATE
        ).numpy()
        for i in range(0, 400, 100)
    ]
    rows = np.concatenate(parts).astype(np.float64)
    # Heusel et al. 2017, equation 6.
    mean, covariance = model.reference["features_mean"], model.reference["features_cov"]
    root = scipy.linalg.sqrtm(np.cov(rows.T) @ covariance).real
    expected = ((rows.mean(axis=0) - mean) ** 2).sum() + np.trace(
        np.cov(rows.T) + covariance - 2 * root
    )
    assert found.values["fid_plain"].value == pytest.approx(expected, rel=1e-8)
    assert found.values["nfe"].value == 4


def test_the_difference_of_a_recipe_to_itself_is_exactly_zero(model: MixtureModel) -> None:
    recipe = baseline("ddim@3", model.denoiser)
    first, second = evaluator().evaluate({"a": recipe, "b": recipe})
    for entry in paired(first, second).values():
        assert entry == {"difference": 0.0, "ci": [0.0, 0.0]}


def test_pairs_are_antisymmetric(model: MixtureModel) -> None:
    recipes = {name: baseline(name, model.denoiser) for name in ("ddim@3", "dpmpp_2m@3")}
    a, b = evaluator().evaluate(recipes)
    there, back = paired(a, b)["fid"], paired(b, a)["fid"]
    assert there["difference"] == pytest.approx(-back["difference"])
    assert there["ci"] == pytest.approx([-back["ci"][1], -back["ci"][0]])


def test_seeds_are_noise_of_their_own(model: MixtureModel) -> None:
    recipes = {"ddim": baseline("ddim@3", model.denoiser)}
    values = {seed: evaluator(seed=seed).evaluate(recipes)[0].values["fid"] for seed in (0, 1)}
    assert values[0] != values[1]
    assert evaluator().evaluate(recipes)[0].values["fid"] == values[0]


def test_default_objectives_are_what_the_model_gives(model: MixtureModel) -> None:
    assert default_objectives(model) == ["fid", "fid_plain", "nfe"]
    assert default_objectives(DigitsModel.load()) == ["fid", "fid_plain", "fd_pixels", "nfe"]


def test_declared_objectives_need_no_samples(model: MixtureModel) -> None:
    one = RecipeEvaluator(MIXTURE, samples=7, seed=0, objectives=["nfe", "macs"])
    (found,) = one.evaluate({"ddim": baseline("ddim@3", model.denoiser)})
    assert found.values["nfe"].value == 3
    assert found.values["macs"].value == 3 * model.denoiser.macs


def test_recipes_are_found_by_name_and_by_file(model: MixtureModel, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    store = ArtifactStore()
    by_name = load_recipe("baseline:dpmpp_2m-logsnr@5", model.denoiser, store)
    by_name.recipe.save(path)
    by_file = load_recipe(str(path), model.denoiser, store)
    assert by_file.plan == by_name.plan
    assert by_file.same_weights
    other = load_recipe(str(path), MixtureModel.load(seed=1).denoiser, store)
    assert not other.same_weights


def test_samples_that_are_not_finite_are_a_reason() -> None:
    # The square of a start at exp(50) is beyond 32-bit floats.
    spec = ModelSpec("mixture", {"family": "edm", "schedule": "edm", "prediction": "data"})
    broken = {
        "version": 1,
        "model": {"family": "edm", "schedule": "edm", "prediction": "data"},
        "start": {"scale": "sigma"},
        "steps": [{"time": 80, "log_snr": -50}],
    }
    one = RecipeEvaluator(spec, samples=400, seed=0)
    with pytest.raises(UserError, match=r"broken: cannot be measured: .*finite"):
        one.evaluate({"broken": Recipe.from_dict(broken)})


def test_two_workers_give_the_values_of_one(ray_cluster: None, model: MixtureModel) -> None:
    recipes = {"ddim": baseline("ddim@3", model.denoiser)}
    alone = evaluator().evaluate(recipes)[0]
    together = evaluator(workers=2).evaluate(recipes)[0]
    for name, value in alone.values.items():
        assert math.isclose(value.value, together.values[name].value, rel_tol=1e-12)
