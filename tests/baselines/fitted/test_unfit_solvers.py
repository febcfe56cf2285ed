"""Fits of times are refused for solvers whose steps they would take apart."""

import pytest

from autosearch.baselines.fitted import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel


@pytest.mark.parametrize("fit", ["dmn", "gits:20:16", "oss:20:8"])
@pytest.mark.parametrize(
    ("solver", "message"),
    [
        ("plms", "implicit correctors ask again"),
        ("heun", "implicit correctors ask again"),
        ("dpm2", "the steps of dpm2 follow from its grid"),
        ("sa_solver", "the steps of sa_solver follow from its grid"),
        ("neural_solver", "the steps of neural_solver follow from its grid"),
    ],
)
def test_solvers_that_ask_twice_or_follow_from_their_grid(
    fit: str, solver: str, message: str
) -> None:
    calibrator = Calibrator(MixtureModel.load().denoiser, seed=0)
    with pytest.raises(UserError, match=message):
        resolve(f"{solver}+{fit}@6", calibrator)


def test_others_are_fitted() -> None:
    calibrator = Calibrator(MixtureModel.load().denoiser, seed=0)
    assert len(resolve("ipndm+gits:20:16@5", calibrator).recipe.steps) == 5
