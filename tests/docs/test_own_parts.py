"""The parts of the documentation's package do what they say, and what all of their kind owe."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autosearch import algorithms, models, objectives, spaces
from autosearch.baselines import baseline
from autosearch.baselines.fitted import FITS, Calibrator
from autosearch.baselines.fitted.names import fit_forwards, resolve
from autosearch.cli import main
from autosearch.diffusion.solvers import FORMS
from autosearch.engine.border import blame
from autosearch.errors import UserError
from autosearch.export import find_format
from autosearch.recipe import Recipe
from autosearch.recipe.describe import step_text
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
    assert "bend" not in FITS.own


def test_the_export_writes_a_line_for_each_step(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "new" / "steps.csv"
    lines = find_format("csv").write(baseline("dpmpp_2m@3", make("vp")), path)
    assert list(lines) == []
    assert path.read_text() == (
        "time,order,form\n999,1,dpmsolver\n666,2,dpmsolver\n333,1,dpmsolver\n"
    )


def adams(denoiser: Any, count: int) -> Recipe:
    """The package's form on a grid that is even in log-SNR, from end to end of the schedule."""
    data = baseline(f"ddim-logsnr@{count}", denoiser).to_dict()
    data["steps"][1:] = [{**s, "form": "adams_data", "order": 2} for s in data["steps"][1:]]
    data["end"] = denoiser.schedule.log_snr(denoiser.schedule.last)
    return Recipe.from_dict(data)


@pytest.mark.parametrize("model", ["vp", "edm"])
def test_the_form_converges_with_its_order(make: Make, model: str) -> None:
    denoiser = make(model)
    calibrator = Calibrator(denoiser)
    counts = (40, 80, 640)
    ends = [calibrator.states(adams(denoiser, n), 100)[-1].x.double().numpy() for n in counts]
    errors = [float(np.abs(x - ends[-1]).mean()) for x in ends[:-1]]
    assert np.log2(errors[0] / errors[1]) >= 1.8


def test_the_form_s_steps_are_its_formula(make: Make) -> None:
    denoiser = make("vp")
    calibrator = Calibrator(denoiser)
    recipe = adams(denoiser, 6)
    states = [state.x.double().numpy() for state in calibrator.states(recipe, 20)]
    plan = calibrator.plan(recipe)
    levels = [denoiser.schedule.alpha_sigma(step.log_snr) for step in plan.steps]
    levels.append(denoiser.schedule.alpha_sigma(float(recipe.end)))
    s = [alpha / sigma for alpha, sigma in levels]
    data = [
        denoiser.posterior_mean(torch.as_tensor(x).float(), *level).double().numpy()
        for x, level in zip(states, levels, strict=True)
    ]
    for i in range(1, 6):
        sigma, after = levels[i][1], levels[i + 1][1]
        slope = (data[i] - data[i - 1]) / (s[i] - s[i - 1])
        moved = (s[i + 1] - s[i]) * data[i] + (s[i + 1] - s[i]) ** 2 / 2 * slope
        assert states[i + 1] == pytest.approx(after / sigma * states[i] + after * moved, abs=1e-4)


def test_the_form_is_searched_drawn_and_said(make: Make) -> None:
    denoiser = make("vp")
    families = [
        spaces.Timesteps(denoiser, steps=(3, 6)),
        spaces.SolverChoice(denoiser, forms=["taylor", "adams_data"]),
    ]
    space = spaces.Space(denoiser, families, baseline("ddim@4", denoiser))
    rng = np.random.default_rng(0)
    drawn = [space.mutate(space.sample(rng), rng) for _ in range(30)]
    used = [step.update for genome in drawn for step in space.plan(genome).steps]
    assert {update.form for update in used if update.order > 1} >= {"taylor", "adams_data"}
    assert max(update.order for update in used if update.form == "adams_data") == 2
    assert "adams_data" in step_text(adams(denoiser, 4).steps[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": 3}, "form 'adams_data' has orders 1 to 2"),
        ({"eta": 0.5}, "form 'adams_data' has no stochastic version"),
        ({"corrector": "pseudo"}, "form 'adams_data' has no corrector"),
        ({"form": "adams_dat"}, "unknown form 'adams_dat'; did you mean 'adams_data'"),
    ],
)
def test_what_the_form_cannot_do_is_refused(
    make: Make, changes: dict[str, Any], message: str
) -> None:
    data = adams(make("vp"), 4).to_dict()
    data["steps"][2] |= changes
    with pytest.raises(UserError, match=message):
        Recipe.from_dict(data)


def test_without_its_package_a_recipe_is_refused_in_one_line(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(adams(make("vp"), 4).to_dict()))
    # The package is nowhere on the path any more.
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "stranger").is_dir()])
    out = str(tmp_path / "x.png")
    assert main(["sample", str(path), "--model", "mixture", "-o", out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "unknown form 'adams_data'" in line


def fail(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError("nothing")


def test_what_a_fit_or_an_export_raises_is_one_line_with_its_name(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = baseline("ddim@3", make("vp"))
    bend, csv = FITS["bend"], find_format("csv")
    monkeypatch.setattr(sys.modules["stranger.fit"], "Ends", fail)
    monkeypatch.setattr(sys.modules["stranger.export"], "write_text", fail)
    for name, act in (
        ("fit 'bend'", lambda: bend.apply(recipe, Calibrator(make("vp")), 4)),
        ("format 'csv'", lambda: csv.write(recipe, tmp_path / "x.csv")),
    ):
        with pytest.raises(ZeroDivisionError) as caught:
            act()
        assert str(blame(caught.value)).startswith(f"{name}: ZeroDivisionError: nothing")


def test_what_a_form_raises_is_one_line_with_its_name(make: Make) -> None:
    assert "adams_data" in list(FORMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["stranger.form"], "polynomial_weights", fail)
        calibrator = Calibrator(make("vp"))
        with pytest.raises(ZeroDivisionError) as caught:
            calibrator.states(adams(calibrator.denoiser, 4), 10)
    assert str(blame(caught.value)).startswith("form 'adams_data': ZeroDivisionError: nothing")
