"""Names of baselines, and what each family of models makes of them."""

from collections.abc import Callable

import pytest

from autosearch.baselines import baseline, baseline_names, split_name
from autosearch.diffusion.plan import compile_recipe
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser

# Those that ``make`` knows.
MODELS = ("vp", "cosine", "edm", "flow")
Make = Callable[[str], ExactDenoiser]


@pytest.mark.parametrize("model", MODELS)
def test_names_are_unique_and_the_own_grid_is_not_repeated(model: str, make: Make) -> None:
    denoiser = make(model)
    names = baseline_names(denoiser.schedule)
    assert len(names) == len(set(names))
    own = compile_recipe(baseline("dpmpp_2m@4", denoiser), denoiser)
    grid = {"edm": "edm", "flow": "flow"}.get(model, "linspace-ms")
    assert f"dpmpp_2m-{grid}" not in names
    spelled = compile_recipe(baseline(f"dpmpp_2m-{grid}@4", denoiser), denoiser)
    assert own.identity == spelled.identity


@pytest.mark.parametrize(
    ("model", "name", "scale"),
    [
        ("vp", "ddim@5", "unit"),
        ("vp", "dpmpp_2m@5", "unit"),
        ("vp", "euler@5", "sigma"),
        ("vp", "euler-trailing@5", "sigma"),
        ("vp", "euler-leading@5", "scheduler"),
        ("edm", "euler@5", "scheduler"),
        ("edm", "dpmpp_2m@5", "scheduler"),
        ("flow", "euler@5", "sigma"),
    ],
)
def test_starts(model: str, name: str, scale: str, make: Make) -> None:
    assert baseline(name, make(model)).start.scale == scale


def test_karras_and_edm_are_one_plan_on_edm_models(make: Make) -> None:
    denoiser = make("edm")
    plans = [compile_recipe(baseline(n, denoiser), denoiser) for n in ("ddim-karras@6", "ddim@6")]
    assert plans[0].identity == plans[1].identity


def test_split_name() -> None:
    assert split_name("ddim@5") == ("ddim", None, 5, ())
    assert split_name("dpmpp_2m-leading-ms@12") == ("dpmpp_2m", "leading-ms", 12, ())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ddim", "write SOLVER[-GRID]@STEPS"),
        ("ddim@", "write SOLVER[-GRID]@STEPS"),
        ("ddim@five", "write SOLVER[-GRID]@STEPS"),
        ("ddim@5.5", "write SOLVER[-GRID]@STEPS"),
        ("ddim@" + "9" * 5000, "write SOLVER[-GRID]@STEPS"),
        ("", "write SOLVER[-GRID]@STEPS"),
        ("ddim@0", "the step count is 0; it must be at least 1"),
        ("ddim@-3", "the step count is -3; it must be at least 1"),
        ("ddim@1001", "the step count is 1001; it must be at most 1000"),
        ("dimd@5", "unknown baseline solver 'dimd'; did you mean 'ddim'?"),
        ("ddim-trailng@5", "unknown grid 'trailng'; did you mean 'trailing'?"),
        ("ddim-flow@5", "grid 'flow' is not defined for vp models"),
        ("dpmpp_2m-quadratic@50", "grid 'quadratic' repeats times at 50 steps; use fewer steps"),
    ],
)
def test_refusals(name: str, message: str, make: Make) -> None:
    with pytest.raises(UserError) as caught:
        baseline(name, make("vp"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
