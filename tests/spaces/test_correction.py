"""Q-Sched's coefficients as a space: the published line, knots, and single steps."""

import pytest

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
