"""The parts of the documentation's package do what they say, and what all of their kind owe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autosearch import algorithms, models, objectives, spaces
from autosearch.baselines import baseline
from autosearch.baselines.fitted import FITS, Calibrator
from autosearch.baselines.fitted.names import fit_forwards, resolve
from autosearch.errors import UserError
from autosearch.export import find_format
from autosearch.testing import AlgorithmContract, ModelContract, ObjectiveContract, SpaceContract

Make = Any


@pytest.fixture(autouse=True, scope="module")
def _installed(site: Path) -> Iterator[None]:
    """The package can be imported, and its entry points are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield


SOLVER: dict[str, Any] = {"solver": {}}


class TestSpace(SpaceContract):
    beside = SOLVER
    # Its power is not read from times.
    reads = False

    def make(denoiser: Any) -> Any:
        return spaces.find("power_times")(denoiser)


class TestMeasuredObjective(ObjectiveContract):
    def make() -> Any:  # type: ignore[misc]
        return objectives.find("mean_gap")()


class TestDeclaredObjective(ObjectiveContract):
    def make() -> Any:  # type: ignore[misc]
        return objectives.find("early_steps")()


class TestAlgorithm(AlgorithmContract):
    results = 16
    many = 500

    def make(space: Any, *, objectives: int) -> Any:
        return algorithms.find("climber")(space, objectives=objectives)


class TestModel(ModelContract):
    @pytest.fixture(autouse=True, scope="class")
    def _trained(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.mktemp("rings") / "rings.safetensors"
        kind = models.find("rings")
        __import__("stranger.model").model.train(path, steps=30)
        type(self).make = staticmethod(lambda: kind.load(path=str(path)))


def test_the_space_says_which_setting_is_wrong(make: Make) -> None:
    with pytest.raises(UserError, match=r"space.power_times.power: expected \[least, most\]"):
        spaces.find("power_times")(make("vp"), power=[3, 1])


def test_the_fit_ends_nearer_to_a_fine_trajectory(make: Make) -> None:
    denoiser = make("vp")
    calibrator = Calibrator(denoiser)
    fitted = resolve("ddim+bend:32@4", calibrator).recipe
    # On other noise than that of the fit.
    fresh = Calibrator(denoiser, seed=1)
    ends = [
        fresh.states(recipe, 200)[-1].x.double().numpy()
        for recipe in (fitted, baseline("ddim@4", denoiser), baseline("dpmpp_2m@200", denoiser))
    ]
    errors = [float(np.square(x - ends[-1]).mean()) for x in ends]
    assert errors[0] < 0.8 * errors[1]
    estimate = fit_forwards(["ddim+bend:32@4"], denoiser)
    assert calibrator.nominal / 1.2 < estimate < calibrator.nominal * 1.2
    with pytest.raises(UserError, match="bend's samples is '1'; expected a whole number from 2"):
        resolve("ddim+bend:1@4", calibrator)
    assert "bend" not in FITS.builtin


def test_the_export_writes_a_line_for_each_step(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "new" / "steps.csv"
    lines = find_format("csv").write(baseline("dpmpp_2m@3", make("vp")), path)
    assert list(lines) == []
    assert path.read_text() == (
        "time,order,form\n999,1,dpmsolver\n666,2,dpmsolver\n333,1,dpmsolver\n"
    )
