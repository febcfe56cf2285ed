"""ERTACache's fits: on the samples that they were fitted on they are what they claim to be."""

import pytest
import torch

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.erta import fit_erta, with_rectification, with_shorter_intervals
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.noise import Stream, draw, labels
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.sampler import last_state
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.models.exact import ExactDenoiser
from autosearch.recipe import Recipe

FEW = 20


@pytest.fixture(scope="module")
def digits() -> Denoiser:
    return DigitsModel.load().denoiser


def ends(recipe: Recipe, denoiser: Denoiser, *, stream: Stream) -> torch.Tensor:
    plan = compile_recipe(recipe, denoiser)
    noise = draw(0, stream, range(20), denoiser.sample_shape)
    with torch.inference_mode():
        return last_state(denoiser, plan, noise, labels(range(20), 10)).x


def test_only_cached_steps_are_rectified(digits: Denoiser) -> None:
    recipe = baseline("ddim+fora:3@8", digits)
    fitted = with_rectification(recipe, Calibrator(digits), FEW)
    assert [step.rectify is None for step in fitted.steps] == [i % 3 == 0 for i in range(8)]
    lines = [step.rectify for step in fitted.steps if step.rectify]
    assert all(0 < a < 2 and abs(b) < 1 for a, b in lines)
    assert any(abs(a - 1) > 1e-3 for a, _ in lines)
    assert Recipe.from_dict(fitted.to_dict()) == fitted
    assert with_rectification(baseline("ddim@4", digits), Calibrator(digits), FEW) == baseline(
        "ddim@4", digits
    )


def test_a_rectified_step_is_nearer_to_the_truth(digits: Denoiser) -> None:
    """One cached step, the last: least squares cannot do worse than the identity."""
    recipe = baseline("ddim@2", digits)
    data = recipe.to_dict()
    data["steps"][1]["sites"] = {"block.0..block.7": "reuse"}
    cached = Recipe.from_dict(data)
    fitted = with_rectification(cached, Calibrator(digits), FEW)
    true, plain, mended = (
        ends(one, digits, stream=Stream.CALIBRATION) for one in (recipe, cached, fitted)
    )
    before, after = ((x - true).square().mean().item() for x in (plain, mended))
    assert after < 0.95 * before


def test_worse_steps_go_less_far(digits: Denoiser) -> None:
    recipe = baseline("ddim+fora:4@9", digits)
    fitted = with_shorter_intervals(recipe, Calibrator(digits), FEW)
    factors = [step.interval for step in fitted.steps]
    assert all(factors[i] == 1 for i in (0, 4, 8))
    cached = [factors[i] for i in (1, 2, 3, 5, 6, 7)]
    assert all(0.05 <= factor < 1 for factor in cached)
    # The first step after one that computed is the best of its run.
    assert factors[1] > factors[2] >= factors[3]
    times = [step.time for step in compile_recipe(fitted, digits).steps]
    assert times == sorted(times, reverse=True)
    assert times[1] == recipe.steps[1].time
    assert times[2] > recipe.steps[2].time


def test_more_is_reused_at_a_higher_threshold(digits: Denoiser) -> None:
    recipe = baseline("ddim@8", digits)
    macs = []
    for threshold in (0.0, 0.1, 0.3, 1.0):
        found = fit_erta(recipe, Calibrator(digits), threshold, FEW)
        assert not found.steps[0].sites
        plan = compile_recipe(found, digits)
        macs.append(plan.macs)
        assert ends(found, digits, stream=Stream.EVALUATE).isfinite().all()
        acting = [bool(step.sites) for step in found.steps]
        assert [step.rectify is not None for step in found.steps] == acting
    assert macs[0] == compile_recipe(recipe, digits).macs
    assert macs == sorted(macs, reverse=True)
    assert macs[-1] < macs[0]


def test_refusals(digits: Denoiser, make) -> None:
    exact: ExactDenoiser = make("vp")
    with pytest.raises(UserError, match="this model has no blocks to reuse"):
        fit_erta(baseline("ddim@4", exact), Calibrator(exact), 0.1)
    with pytest.raises(UserError, match="leaves something out already"):
        fit_erta(baseline("ddim+fora@4", digits), Calibrator(digits), 0.1)
