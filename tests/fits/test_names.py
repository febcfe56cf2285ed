"""Fits in names, and what measuring the model is charged."""

import pytest

from autosearch.baselines import baseline
from autosearch.compiler import compile_recipe
from autosearch.errors import UserError
from autosearch.fits.lab import Lab
from autosearch.fits.names import check_name, fitted_recipe, is_fitted, named_recipe
from autosearch.models.digits import DigitsModel


def test_a_name_is_cut_in_two() -> None:
    parts = check_name("dpmpp_2m-quadratic+bksdm+erta:0.3@8")
    assert parts.unfitted == "dpmpp_2m-quadratic+bksdm@8"
    assert [values for _, values in parts.fits] == [(0.3,)]
    assert is_fitted("ddim+erta@5")
    assert not is_fitted("ddim+fora@5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ddim+ertaa@5", "unknown policy 'ertaa'; did you mean 'erta'"),
        ("ddim+erta:-1@5", "expected a number from 0 to 10"),
        ("ddim+erta+fora@5", "decide the same"),
        ("ddim+erta:1:2@5", "takes at most 1 settings"),
    ],
)
def test_wrong_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_name(name)


def test_what_is_run_is_counted_and_nothing_stays_behind() -> None:
    denoiser = DigitsModel.load().denoiser
    lab = Lab(denoiser)
    plan = compile_recipe(baseline("ddim@3", denoiser), denoiser)
    with lab.counting():
        lab.states(baseline("ddim@3", denoiser), 10)
    assert lab.forward_equivalents == pytest.approx(10 * plan.forward_equivalents)
    lab.states(baseline("ddim@3", denoiser), 10)
    lab.count(2.5)
    assert lab.forward_equivalents == pytest.approx(10 * plan.forward_equivalents + 2.5)
    assert "denoise" not in vars(denoiser)


def test_equal_seeds_fit_equal_recipes() -> None:
    denoiser = DigitsModel.load().denoiser
    found = fitted_recipe("ddim+erta:0.3@6", Lab(denoiser, seed=1))
    assert named_recipe("ddim+erta:0.3@6", denoiser, seed=1) == found
    assert named_recipe("ddim+erta:0.3@6", denoiser, seed=2) != found
    assert named_recipe("ddim@6", denoiser) == baseline("ddim@6", denoiser)
