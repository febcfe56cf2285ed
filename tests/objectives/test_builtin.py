"""What every built-in objective owes, and the simple ones."""

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from autosearch.diffusion.plan.plan import Plan
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
