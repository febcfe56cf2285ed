"""Q-Sched's coefficients as a space: the published line, knots, and single steps."""

import json

import numpy as np
import pytest

from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.spaces import Correction, Space, Timesteps


@pytest.fixture
def correction(spaces) -> Space:
    return make(spaces("linear"))


def make(space: Space, **options: object) -> Space:
    denoiser = space.denoiser
    families = [Timesteps(denoiser, steps=(2, 6)), Correction(denoiser, **options)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


def scalings(genome: dict) -> list[list[float]]:
    return [step.get("scaling", [1.0, 1.0]) for step in genome["steps"]]


def test_the_box_is_the_published_line(spaces) -> None:
    family = Correction(spaces("linear").denoiser)
    assert [p.name for p in family.box()] == ["output_0", "state_0"]
    genome = {"steps": [{} for _ in range(5)]}
    family.from_box(genome, {"output_0": 0.8, "state_0": 1.2})
    assert scalings(genome) == [[0.8, 1.2], [0.85, 1.15], [0.9, 1.1], [0.95, 1.05], [1, 1]]
    assert "scaling" not in genome["steps"][-1]
    family.from_box(genome, {"output_0": 1, "state_0": 1})
    assert all("scaling" not in step for step in genome["steps"])


def test_more_knots_are_more_numbers_on_the_way(spaces) -> None:
    family = Correction(spaces("linear").denoiser, knots=2)
    assert len(family.box()) == 4
    genome = {"steps": [{} for _ in range(5)]}
    family.from_box(genome, {"output_0": 0.9, "output_1": 1.1, "state_0": 1, "state_1": 1})
    assert [output for output, _ in scalings(genome)] == [0.9, 1, 1.1, 1.05, 1]


def test_operators_stay_inside_and_change_plans(correction: Space) -> None:
    rng = np.random.default_rng(0)
    parent = correction.sample(rng)
    changed = 0
    for _ in range(40):
        child = correction.mutate(parent, rng)
        child = correction.crossover(child, correction.sample(rng), rng)
        assert json.loads(json.dumps(child)) == child
        assert correction.repair(child) == child
        assert correction.encode(correction.decode(child)) == child
        assert all(0.8 <= factor <= 1.2 for pair in scalings(child) for factor in pair)
        changed += correction.plan(child).identity != correction.plan(parent).identity
        parent = child
    assert changed > 35


def test_every_point_of_the_box_is_a_recipe(correction: Space) -> None:
    box = UnitBox(correction.box())
    for point in np.random.default_rng(1).random((20, len(correction.box()))):
        genome = correction.from_box(box.point(point))
        assert correction.plan(genome).nfe == len(genome["steps"])


def test_plain_baselines_are_inside(correction: Space) -> None:
    assert correction.encode(baseline("ddim@4", correction.denoiser)) is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 1.1}, "use a range around 1"),
        ({"knots": 0}, "knots: 0 is outside 1 to 8"),
        ({"width": 0.0}, "width: 0 is outside above 0"),
    ],
)
def test_wrong_settings_are_refused(spaces, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Correction(spaces("linear").denoiser, **options)
