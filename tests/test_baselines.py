"""Named recipes of the literature: names, step counts, and what they say."""

from collections.abc import Callable

import pytest
import torch

from autosearch.baselines import SOLVERS, baseline, baseline_names, split_name
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.prediction import Prediction
from autosearch.diffusion.sampler import sample_indices
from autosearch.diffusion.schedules import EDM, NoiseSchedule, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser, Mixture
from autosearch.plan import compile_recipe
from autosearch.recipe import Recipe

MODELS: dict[str, tuple[NoiseSchedule, Prediction]] = {
    "vp": (VariancePreserving(), "noise"),
    "cosine": (VariancePreserving("cosine"), "v"),
    "edm": (EDM(), "data"),
    "flow": (RectifiedFlow(), "flow"),
}

Make = Callable[[str], ExactDenoiser]


@pytest.fixture(scope="module")
def make() -> Make:
    mixture = Mixture.random(components=3, dimension=3, seed=1)

    def denoiser(model: str) -> ExactDenoiser:
        return ExactDenoiser(mixture, *MODELS[model])

    return denoiser


@pytest.mark.parametrize(
    ("model", "solver"), [(model, solver) for model in MODELS for solver in SOLVERS]
)
def test_every_baseline_at_every_step_count(model: str, solver: str, make: Make) -> None:
    denoiser = make(model)
    names = baseline_names(denoiser.schedule, solvers=[solver])
    assert len(names) == len(grids_for(denoiser.schedule))
    counted = 0
    for name in names:
        for steps in range(1, 13):
            try:
                recipe = baseline(f"{name}@{steps}", denoiser)
            except UserError as error:
                # Whole times are scarce where the cosine schedule is noisiest.
                assert (model, name.endswith("-karras")) == ("cosine", True)
                assert "repeats times" in str(error)  # noqa: PT017
                continue
            assert Recipe.from_dict(recipe.to_dict()) == recipe
            plan = compile_recipe(recipe, denoiser)
            assert plan.nfe == plan.forwards == steps
            assert plan.stochastic == (SOLVERS[solver].eta > 0 and steps > 1)
            x = sample_indices(denoiser, plan, range(4), seed=0, stream=Stream.SEARCH)
            assert x.isfinite().all()
            counted += 1
    assert counted >= 0.9 * 12 * len(names)


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


def test_orders_of_the_multistep_solvers(make: Make) -> None:
    recipe = baseline("dpmpp_2m@5", make("vp"))
    assert [step.order for step in recipe.steps] == [1, 2, 2, 2, 1]
    assert [step.time for step in recipe.steps] == [999, 799, 599, 400, 200]
    assert recipe.end == "clean"
    noise = baseline("dpm_2m@3", make("vp")).steps[1]
    assert (noise.order, noise.prediction, noise.form) == (2, "noise", "dpmsolver")
    taylor = baseline("taylor_2m@3", make("vp")).steps[1]
    assert (taylor.order, taylor.prediction, taylor.form) == (2, "data", "taylor")


def test_ddim_as_designed(make: Make) -> None:
    recipe = baseline("ddim@4", make("vp"))
    assert recipe.to_dict()["steps"] == [{"time": t} for t in (750, 500, 250, 0)]
    assert recipe.start.scale == "unit"
    assert recipe.end == "clean"


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
    assert split_name("ddim@5") == ("ddim", None, 5)
    assert split_name("dpmpp_2m-leading-ms@12") == ("dpmpp_2m", "leading-ms", 12)


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
        ("dpmpp_2m-karras@400", "grid 'karras' repeats times at 400 steps; use fewer steps"),
    ],
)
def test_refusals(name: str, message: str, make: Make) -> None:
    with pytest.raises(UserError) as caught:
        baseline(name, make("vp"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_steps_come_closer_to_the_data(make: Make) -> None:
    """The moments of the samples approach the mixture's, and second order is the faster."""
    denoiser = make("vp")
    target = torch.as_tensor(denoiser.mixture.covariance).float()

    def distance(name: str) -> float:
        plan = compile_recipe(baseline(name, denoiser), denoiser)
        x = sample_indices(denoiser, plan, range(2000), seed=0, stream=Stream.SEARCH)
        return float((torch.cov(x.T) - target).norm())

    ddim = [distance(f"ddim-logsnr@{steps}") for steps in (4, 8, 40)]
    assert ddim == sorted(ddim, reverse=True)
    assert distance("dpmpp_2m-logsnr@8") < ddim[1]
