"""The bundled model as a search sees it: its scores, its honesty, its sites."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from autosearch.baselines import baseline
from autosearch.compiler import compile_recipe
from autosearch.diffusion.noise import Stream
from autosearch.errors import UserError
from autosearch.measure import Measure, make_objectives
from autosearch.models.digits import DigitsModel
from autosearch.models.figures import honesty_checks
from autosearch.objectives.extractor import ImageRows, register
from autosearch.recipe import Recipe
from autosearch.workers.base import Task
from autosearch.workers.evaluator import ModelEvaluator, ModelSpec


@pytest.fixture(scope="module")
def evaluator() -> ModelEvaluator:
    torch.set_num_threads(1)
    return ModelEvaluator(ModelSpec("digits"))


def rows_of(evaluator: ModelEvaluator, name: str, needs: set[str], blocks: int = 4):
    plan = compile_recipe(baseline(name, evaluator.model.denoiser), evaluator.model.denoiser)
    task = Task(0, plan, 3, Stream.EVALUATE, tuple(range(blocks)), 100, frozenset(needs))
    return plan, evaluator.evaluate(task).rows


def test_fid_plain_and_is_equal_torch_fidelity_on_the_same_images(evaluator):
    import torch_fidelity

    model = evaluator.model
    plan, rows = rows_of(evaluator, "ddim@3", {"final", "features", "logits"})
    images = model.images(torch.from_numpy(np.asarray(rows["final"])).view(-1, 1, 8, 8))
    real = torch.from_numpy(np.asarray(model.reference["images"]))[:, None].expand(-1, 3, -1, -1)
    register("digits-under-test", model.features.features, {"features": 64, "logits": 10})
    theirs = torch_fidelity.calculate_metrics(
        input1=ImageRows(images),
        input2=ImageRows(real.contiguous()),
        fid=True,
        isc=True,
        isc_splits=1,
        feature_extractor="digits-under-test",
        feature_layer_fid="features",
        feature_layer_isc="logits",
        cuda=False,
        cache=False,
        verbose=False,
    )
    measure = Measure(model, make_objectives(["fid_plain", "is"]))
    ours = measure.estimates(plan, rows, samples=400)
    assert ours["fid_plain"].value == pytest.approx(
        theirs["frechet_inception_distance"], rel=1e-6, abs=1e-6
    )
    assert ours["is"].value == pytest.approx(theirs["inception_score_mean"], rel=1e-6)


def test_shipped_figures_belong_to_the_shipped_weights(evaluator):
    figures = evaluator.model.figures
    assert figures["weights"] == evaluator.model.denoiser.weights
    assert figures["reference"]["recipe"] in {"ddim@100", "dpmpp_2m@100"}
    fid = figures["reference"]["values"]["fid"]
    error = np.std(fid["pseudo"], ddof=1) / np.sqrt(len(fid["pseudo"]))
    assert error < 0.08 * fid["value"]


def test_shipped_honesty_checks_are_what_the_features_say(evaluator):
    again = honesty_checks(evaluator.model)
    shipped = evaluator.model.figures["honesty"]
    assert set(again) == set(shipped)
    for name, points in again.items():
        assert np.allclose(points, shipped[name], rtol=1e-6, atol=1e-9)
        if name != "real halves":
            values = [value for _, value in points]
            assert values == sorted(values)
            assert values[-1] > 10 * max(v for _, v in shipped["real halves"])


def test_better_samplers_score_better(evaluator):
    measure = Measure(evaluator.model, make_objectives(["fid", "fd_pixels"]))
    values = []
    for name in ("ddim@2", "ddim@4", "dpmpp_2m-logsnr@8"):
        plan, rows = rows_of(evaluator, name, {"features", "pixels"})
        values.append(measure.estimates(plan, rows, samples=400))
    for objective in ("fid", "fd_pixels"):
        scores = [value[objective].value for value in values]
        assert scores == sorted(scores, reverse=True)


def test_rows_do_not_depend_on_how_blocks_are_asked_for(evaluator):
    _, together = rows_of(evaluator, "ddim@2", {"features"}, blocks=2)
    plan = compile_recipe(baseline("ddim@2", evaluator.model.denoiser), evaluator.model.denoiser)
    apart = [
        evaluator.evaluate(
            Task(b, plan, 3, Stream.EVALUATE, (b,), 100, frozenset({"features"}))
        ).rows["features"]
        for b in (0, 1)
    ]
    assert np.array_equal(together["features"], np.concatenate(apart))


def test_every_site_is_intercepted_and_priced(evaluator):
    denoiser = evaluator.model.denoiser
    base = baseline("ddim@3", denoiser).to_dict()
    plain = compile_recipe(Recipe.from_dict(base), denoiser)
    needs = frozenset({"final"})
    samples = evaluator.evaluate(Task(0, plain, 0, Stream.EVALUATE, (0,), 100, needs)).rows["final"]
    for site in denoiser.sites:
        changed = json.loads(json.dumps(base))
        changed["steps"][1]["sites"] = {site.name: "skip"}
        plan = compile_recipe(Recipe.from_dict(changed), denoiser)
        assert plan.macs == plain.macs - site.macs
        other = evaluator.evaluate(Task(0, plan, 0, Stream.EVALUATE, (0,), 100, needs))
        assert not np.array_equal(other.rows["final"], samples), site.name


def test_weights_from_elsewhere_are_loaded_or_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no file at"):
        DigitsModel.load(path=str(tmp_path / "none.safetensors"))
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing")
    with pytest.raises(UserError, match="safetensors"):
        DigitsModel.load(path=str(bad))


@pytest.mark.soak
def test_features_and_pixels_rank_twenty_recipes_alike(evaluator):
    measure = Measure(evaluator.model, make_objectives(["fid", "fd_pixels"]))
    names = [
        f"{solver}@{count}"
        for solver in ("ddim", "ddim-trailing", "ddim-logsnr", "dpmpp_2m", "dpmpp_2m-logsnr")
        for count in (3, 4, 6, 10)
    ]
    scores = []
    for name in names:
        plan, rows = rows_of(evaluator, name, {"features", "pixels"}, blocks=10)
        found = measure.estimates(plan, rows, samples=1000)
        scores.append((found["fid"].value, found["fd_pixels"].value))
    assert spearmanr(*zip(*scores, strict=True)).statistic >= 0.8
