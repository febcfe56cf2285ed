"""Fits in names, and what measuring the model is charged."""

from collections.abc import Callable

import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import (
    check_name,
    fit_forwards,
    fitted_recipe,
    is_fitted,
    named_recipe,
)
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel


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
    calibrator = Calibrator(denoiser)
    plan = compile_recipe(baseline("ddim@3", denoiser), denoiser)
    with calibrator.counting():
        calibrator.states(baseline("ddim@3", denoiser), 10)
    assert calibrator.forward_equivalents == pytest.approx(10 * plan.forward_equivalents)
    calibrator.states(baseline("ddim@3", denoiser), 10)
    calibrator.count(2.5)
    assert calibrator.forward_equivalents == pytest.approx(10 * plan.forward_equivalents + 2.5)
    assert "denoise" not in vars(denoiser)


@pytest.mark.parametrize(
    "name",
    [
        "dpmpp_2m+boss:50:20@6",
        "ddim+olss:50:16@6",
        "dpmpp_2m+dc:10:40@6",
        "unipc+dc:10:40@6",
        "unipc+v3:30:20@6",
        "dpmpp_2m+erta:0.3@6",
        "dpmpp_2m+dpcache:4@6",
        "ddim+harmonica@4",
        "ddim+importance:2@4",
        "ddim+sensitivity:2@4",
        "ddim+tinyfusion:2:4:20@4",
        "ddim+importance:2+recover:20@4",
        "dpmpp_2m+matched:8:3:20@5",
        "dpmpp_2m+moments:24:2:20@3",
        "dpmpp_2m+moments:64:2:20@6",
    ],
)
def test_a_fit_knows_about_what_it_takes(
    name: str, random_dit: Callable[..., NetworkDenoiser]
) -> None:
    calibrator = Calibrator(random_dit())
    estimate = fit_forwards([name], calibrator.denoiser)
    fitted_recipe(name, calibrator)
    assert calibrator.nominal / 1.5 < estimate < calibrator.nominal * 1.5


def test_what_fits_share_counts_once() -> None:
    denoiser = DigitsModel.load().denoiser
    one = fit_forwards(["unipc+v3@4"], denoiser)
    assert fit_forwards(["unipc+v3@4", "dpmpp_2m+v3@5"], denoiser) == one
    assert fit_forwards(["unipc+v3@4", "unipc+v3:60@4"], denoiser) == 1.5 * one


def test_equal_seeds_fit_equal_recipes(random_dit: Callable[..., NetworkDenoiser]) -> None:
    denoiser = random_dit()
    found = fitted_recipe("ddim+erta:0.3@6", Calibrator(denoiser, seed=1))
    assert named_recipe("ddim+erta:0.3@6", denoiser, seed=1) == found
    assert named_recipe("ddim+erta:0.3@6", denoiser, seed=2) != found
    assert named_recipe("ddim@6", denoiser) == baseline("ddim@6", denoiser)
