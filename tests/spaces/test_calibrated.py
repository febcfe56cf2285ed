"""What a search may do with calibrated solvers: ratios, statistics that recipes bring along."""

import numpy as np
import pytest

from autosearch.baselines import baseline
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.baselines.fitted.names import resolve
from autosearch.diffusion.denoiser import Denoiser
from autosearch.errors import UserError
from autosearch.spaces import SolverChoice, Space, Timesteps

FORMS = ("dpmsolver", "taylor", "unipc_bh2", "evodiff", "velocity", "v3")


def make(denoiser: Denoiser, **options: object) -> Space:
    solver = SolverChoice(denoiser, **{"forms": FORMS, "compensation": 1.0, **options})
    families = [Timesteps(denoiser, steps=(3, 6)), solver]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


@pytest.fixture
def calibrated(spaces) -> Space:
    return make(spaces("linear").denoiser)


@pytest.mark.parametrize("name", ["unipc+dc:10:40@5", "unipc+v3:40:40@5", "evodiff@5"])
def test_fitted_baselines_are_inside(calibrated: Space, name: str) -> None:
    genome = calibrated.encode(resolve(name, Calibrator(calibrated.denoiser)).recipe)
    assert genome is not None
    assert calibrated.decode(genome).artifacts.keys() == ({"v3"} if "v3" in name else set())


@pytest.mark.parametrize("name", ["unipc+dc:10:40@5", "unipc+v3:40:40@5", "evodiff@5"])
def test_they_are_not_where_nobody_asked(spaces, name: str) -> None:
    denoiser = spaces("linear").denoiser
    plain = Space(
        denoiser,
        [Timesteps(denoiser, steps=(3, 6)), SolverChoice(denoiser)],
        baseline("ddim@10", denoiser),
    )
    assert plain.encode(resolve(name, Calibrator(denoiser)).recipe) is None


def test_weights_are_in_no_space(calibrated: Space) -> None:
    assert (
        calibrated.encode(resolve("ddim+olss:20:10@5", Calibrator(calibrated.denoiser)).recipe)
        is None
    )


def test_statistics_are_inherited_and_never_invented(calibrated: Space) -> None:
    rng = np.random.default_rng(0)
    bare = calibrated.encode(baseline("unipc@5", calibrated.denoiser))
    known = calibrated.encode(resolve("unipc+v3:40:40@5", Calibrator(calibrated.denoiser)).recipe)
    assert bare is not None
    assert known is not None
    forms: dict[bool, set[str]] = {False: set(), True: set()}
    ratios = set()
    for _ in range(60):
        for parents, has in (((bare, calibrated.sample(rng)), False), ((bare, known), True)):
            child = calibrated.mutate(calibrated.crossover(*parents, rng), rng)
            assert calibrated.repair(child) == child
            calibrated.plan(child)
            forms[has] |= {step.get("form", "dpmsolver") for step in child["steps"]}
            ratios |= {step.get("compensation", 1.0) for step in child["steps"]}
    assert forms[True] == set(FORMS)
    assert forms[False] == set(FORMS) - {"v3"}
    assert len(ratios) > 10
    assert all(0 <= ratio <= 2 for ratio in ratios)


def test_the_box_is_without_what_must_be_measured(calibrated: Space) -> None:
    (form,) = [p for p in calibrated.box() if p.name == "solver.form"]
    assert form.choices == ("dpmsolver", "taylor", "unipc_bh2", "evodiff", "velocity")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forms": ("v3",)}, "'v3' alone has nothing to begin with"),
        ({"forms": ("linear",)}, "unknown form 'linear'"),
        ({"forms": ("evodiff", "taylor"), "orders": (3, 4)}, "'evodiff' has orders 1 and 2"),
        ({"compensation": -1}, "compensation: -1 is outside"),
    ],
)
def test_wrong_settings_are_refused(spaces, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(spaces("linear").denoiser, **options)
