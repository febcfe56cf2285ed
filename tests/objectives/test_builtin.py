"""What every built-in objective owes, and the simple ones."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from autosearch.diffusion.plan.plan import Plan
from autosearch.errors import Infeasible
from autosearch.objectives import BUILTIN, Latency, TeacherMse
from autosearch.objectives.base import Objective

NAMES = (
    "fid fid_plain fd_pixels kid is precision recall class_accuracy clip_score pick_score "
    "image_reward mmhm mmhm_text teacher_mse teacher_fd teacher_fid nfe forwards macs memory "
    "latency"
)
WIDTHS = {"features": 6, "logits": 4, "pixels": 5, "final": 3, "teacher": 3}
WIDTHS["teacher_features"] = WIDTHS["features"]
# Rows of one number each.
SCALARS = ("teacher_mse", "clip_score", "pick_score", "image_reward")
MEASURED = [kind for kind in BUILTIN if kind.needs]
# Latency needs a table first: tests/test_latency.py.
DECLARED = [kind for kind in BUILTIN if not kind.needs and kind is not Latency]


def test_names_are_those_of_the_command_line() -> None:
    assert [kind.name for kind in BUILTIN] == NAMES.split()
    maximized = {kind.name for kind in BUILTIN if kind.direction == "maximize"}
    assert maximized == {
        *("is", "precision", "recall", "class_accuracy", "mmhm", "mmhm_text"),
        *("clip_score", "pick_score", "image_reward"),
    }
    assert [kind.name for kind in BUILTIN if kind.deterministic_only] == [
        "teacher_mse",
        "teacher_fd",
        "teacher_fid",
    ]


@pytest.mark.parametrize("kind", BUILTIN, ids=lambda kind: kind.name)
def test_every_objective_says_what_it_is(kind: type[Objective]) -> None:
    assert 10 < len(kind.summary) <= 90
    assert "\n" not in kind.summary
    assert kind.__doc__
    assert kind.needs <= {*WIDTHS, *SCALARS, "labels"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", MEASURED, ids=lambda kind: kind.name)
def test_measured_objectives_give_a_finite_estimate_with_an_error(kind: type[Objective]) -> None:
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(200, width)) for name, width in WIDTHS.items()}
    rows |= {name: rng.exponential(size=200) for name in SCALARS}
    rows["labels"] = np.arange(200) % 4
    real = rng.normal(size=(150, 6))
    reference = {
        "features": real.astype(np.float32),
        "features_mean": real.mean(axis=0),
        "features_cov": np.cov(real, rowvar=False),
        "pixels_mean": np.zeros(5),
        "pixels_cov": np.eye(5),
        "bounds.clip_score": np.array([0.0, 3.0]),
        "bounds.pick_score": np.array([0.0, 3.0]),
    }
    objective = kind()
    assert 20 <= objective.min_samples(WIDTHS) <= 200
    needed = {name: rows[name] for name in kind.needs}
    for array in (*rows.values(), *reference.values()):
        array.flags.writeable = False  # as they come from another process
    estimate = objective.estimate(needed, reference, 20)
    assert np.isfinite(estimate.value)
    assert len(estimate.pseudo) == 20
    assert estimate.standard_error > 0.0
    assert estimate == objective.estimate(needed, reference, 20), "equal rows, equal estimates"
    with pytest.raises(TypeError):
        objective.declared(SimpleNamespace(nfe=1))  # type: ignore[arg-type]
    for name in kind.needs:
        broken = {**needed, name: np.full_like(rows[name], np.nan, dtype=np.float64)}
        with pytest.raises(Infeasible, match="200 of 200"):
            objective.estimate(broken, reference, 20)


@pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.name)
def test_declared_objectives_are_read_from_the_plan(kind: type[Objective]) -> None:
    given = {"nfe": 7, "forwards": 14, "macs": 10**12 + 1, "memory": 4096}
    assert kind().declared(SimpleNamespace(**given)) == given[kind.name]  # type: ignore[arg-type]
    assert kind.name in {field.name for field in fields(Plan)} or hasattr(Plan, kind.name)
    assert kind.unit
    assert kind().min_samples({}) == 0
    with pytest.raises(TypeError):
        kind().estimate({}, {}, 20)


def test_teacher_mse_is_a_mean_with_its_standard_error() -> None:
    values = np.random.default_rng(1).exponential(size=40).astype(np.float32)
    estimate = TeacherMse().estimate({"teacher_mse": values}, {}, 40)
    wide = values.astype(np.float64)
    assert estimate.value == pytest.approx(wide.mean(), rel=1e-12)
    assert estimate.standard_error == pytest.approx(stats.sem(wide), rel=1e-9)
    with pytest.raises(ValueError, match="2 axes, expected 1"):
        TeacherMse().estimate({"teacher_mse": values[:, None]}, {}, 20)
