"""Fits in names, and what measuring the model is charged."""

from collections.abc import Callable

import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import (
    check_name,
    fit_forwards,
    is_fitted,
    resolve,
)
from autosearch.diffusion.denoiser import NetworkDenoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.sampling.call_cache import CallCache
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
    calibrator.states(baseline("ddim@3", denoiser), 10)
    assert calibrator.forward_equivalents == pytest.approx(10 * plan.forward_equivalents)
    calibrator.network(10).evaluate(plan.steps[0], calibrator.noise(10))
    calibrator.count(2.5)
    spent = 10 * (plan.forward_equivalents + 1) + 2.5
    assert calibrator.forward_equivalents == calibrator.nominal == pytest.approx(spent)
    assert "denoise" not in vars(denoiser)


@pytest.mark.parametrize(
    "name",
    [
        "dpmpp_2m+boss:50:20@6",
        "ddim+olss:50:16@6",
        "dpmpp_2m+gits:40:16@6",
        "dpmpp_2m+oss:30:3@6",
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
        pytest.param("dpmpp_2m+moments:64:2:20@6", marks=pytest.mark.soak),
    ],
)
def test_a_fit_knows_about_what_it_takes(
    name: str, random_dit: Callable[..., NetworkDenoiser]
) -> None:
    calibrator = Calibrator(random_dit())
    estimate = fit_forwards([name], calibrator.denoiser)
    resolve(name, calibrator)
    assert calibrator.nominal / 1.5 < estimate < calibrator.nominal * 1.5


def test_what_fits_share_counts_once() -> None:
    denoiser = DigitsModel.load().denoiser
    one = fit_forwards(["unipc+v3@4"], denoiser)
    assert fit_forwards(["unipc+v3@4", "dpmpp_2m+v3@5"], denoiser) == one
    assert fit_forwards(["unipc+v3@4", "unipc+v3:60@4"], denoiser) == 1.5 * one


def test_equal_seeds_fit_equal_recipes(random_dit: Callable[..., NetworkDenoiser]) -> None:
    denoiser = random_dit()
    found = resolve("ddim+erta:0.3@6", Calibrator(denoiser, seed=1)).recipe
    assert resolve("ddim+erta:0.3@6", Calibrator(denoiser, seed=1)).recipe == found
    assert resolve("ddim+erta:0.3@6", Calibrator(denoiser, seed=2)).recipe != found
    assert resolve("ddim@6", Calibrator(denoiser)).recipe == baseline("ddim@6", denoiser)


@pytest.mark.parametrize(
    "names",
    [
        ("ddim+boss:30:20@3", "ddim+boss:30:20@4", "dpmpp_2m+olss:30:20@5"),
        ("ddim+gits:30:20@3", "unipc+gits:30:20:1.2:2@4"),
        ("ddim+importance:1@3", "ddim+erta:0.3@3", "ddim+sensitivity:1@3"),
    ],
)
def test_no_trajectory_is_computed_twice(
    names: tuple[str, ...], random_dit: Callable[..., NetworkDenoiser]
) -> None:
    denoiser, cache = random_dit(), CallCache(2**28)
    for i, name in enumerate(names):
        alone = Calibrator(denoiser, call_cache=CallCache(0))
        sharing = Calibrator(denoiser, call_cache=cache)
        assert resolve(name, sharing).recipe == resolve(name, alone).recipe
        # What is charged does not depend on who came before, and what is run does.
        assert sharing.nominal == alone.nominal
        assert (sharing.forward_equivalents < alone.forward_equivalents) == (i > 0)
    other = Calibrator(denoiser, seed=1, call_cache=cache)
    resolve(names[0], other)
    assert other.forward_equivalents == other.nominal


def test_what_is_neither_fitted_nor_recovered_costs_nothing(
    random_dit: Callable[..., NetworkDenoiser],
) -> None:
    calibrator = Calibrator(random_dit())
    for asked in ("ddim+fora:2@4", baseline("ddim@4", calibrator.denoiser)):
        assert resolve(asked, calibrator).forward_equivalents == 0
    fitted = resolve("ddim+boss:20:10@4", calibrator)
    assert fitted.forward_equivalents == 20 * 10 == calibrator.forward_equivalents
