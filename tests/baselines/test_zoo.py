"""Every named solver on every grid, and what its recipes say."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch

from autosearch.baselines import SOLVERS, baseline, baseline_names, split_name
from autosearch.diffusion.grids import grids_for
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.errors import UserError
from autosearch.models.exact import ExactDenoiser
from autosearch.recipe import Recipe

# Those that ``make`` knows.
MODELS = ("vp", "cosine", "edm", "flow")
Make = Callable[[str], ExactDenoiser]


@pytest.mark.parametrize(
    ("model", "solver"), [(model, solver) for model in MODELS for solver in SOLVERS]
)
def test_every_baseline_at_every_step_count(model: str, solver: str, make: Make) -> None:
    denoiser = make(model)
    names = baseline_names(denoiser.schedule, solvers=[solver])
    own_points = SOLVERS[solver].own_points is not None
    assert len(names) == (1 if own_points else len(grids_for(denoiser.schedule, usual=True)))
    counted = 0
    for name in names:
        grid_name = split_name(f"{name}@1").grid
        own = grid_name is None
        for steps in range(1, 13) if own else (1, 2, 3, 5, 8):
            try:
                recipe = baseline(f"{name}@{steps}", denoiser)
            except UserError as error:
                assert grid_name == "few-step" or own_points
                assert "published for" in str(error)  # noqa: PT017
                continue
            assert Recipe.from_dict(recipe.to_dict()) == recipe
            plan = compile_recipe(recipe, denoiser)
            assert plan.nfe == plan.forwards == evaluations(plan, solver, steps)
            assert plan.stochastic == any(step.eta for step in recipe.steps[:-1])
            if own or steps in (2, 5):
                x = sample_indices(denoiser, plan, range(4), seed=0, stream=Stream.SEARCH)
                assert x.isfinite().all()
            counted += 1
    assert own_points or counted >= 12 + 5 * (len(names) - 2)


@pytest.mark.parametrize("model", MODELS)
def test_every_named_grid_makes_recipes_that_sample(model: str, make: Make) -> None:
    """Those that no search tries of itself: their levels and times pass all checks of a recipe."""
    denoiser, made = make(model), 0
    named = baseline_names(denoiser.schedule, solvers=["ddim"], usual=False)
    usual = baseline_names(denoiser.schedule, solvers=["ddim"])
    for grid in [name.removeprefix("ddim-") for name in named if name not in usual]:
        for solver, steps in itertools.product(("euler", "unipc"), (1, 2, 5, 10)):
            try:
                recipe = baseline(f"{solver}-{grid}@{steps}", denoiser)
            except UserError as error:
                assert (grid, steps) == ("bong_tangent", 1), error  # noqa: PT017
                continue
            assert Recipe.from_dict(recipe.to_dict()) == recipe
            plan = compile_recipe(recipe, denoiser)
            if steps == 5:
                x = sample_indices(denoiser, plan, range(4), seed=0, stream=Stream.SEARCH)
                assert x.isfinite().all(), (grid, solver)
            made += 1
    assert made > 50


def evaluations(plan: Plan, solver: str, steps: int) -> int:
    """K steps cost K evaluations; Heun one more for each step between finite levels.

    Heun in the time of flows also from pure noise, which is finite there. DPM2 has as many steps
    as evaluations, and PLMS has one evaluation more.
    """
    if solver == "flow_heun":
        return 2 * steps - 1
    if solver == "dpm2":
        return len(plan.steps)
    if solver == "plms":
        return steps + (steps > 1)
    if solver == "heun":
        finite = sum(
            math.isfinite(step.log_snr) and math.isfinite(step.next_log_snr) for step in plan.steps
        )
        # The few-step grid's last step, though finite, is not corrected.
        return steps + min(finite, steps - 1)
    return steps - ("_afs" in solver and steps > 1)


def test_orders_of_the_multistep_solvers(make: Make) -> None:
    recipe = baseline("dpmpp_2m@5", make("vp"))
    assert [step.order for step in recipe.steps] == [1, 2, 2, 2, 1]
    assert [step.time for step in recipe.steps] == [999, 799, 599, 400, 200]
    assert recipe.end == "clean"
    noise = baseline("dpm_2m@3", make("vp")).steps[1]
    assert (noise.order, noise.prediction, noise.form) == (2, "noise", "dpmsolver")
    taylor = baseline("taylor_2m@3", make("vp")).steps[1]
    assert (taylor.order, taylor.prediction, taylor.form) == (2, "data", "taylor")


def test_orders_fall_towards_the_end(make: Make) -> None:
    """Below 15 steps one by one; UniPC's at any count."""

    def orders(name: str) -> list[int]:
        return [step.order for step in baseline(name, make("vp")).steps]

    assert orders("dpmpp_3m@1") == [1]
    assert orders("dpmpp_3m@4") == [1, 2, 2, 1]
    assert orders("dpmpp_3m@6") == [1, 2, 3, 3, 2, 1]
    assert orders("dpmpp_3m@15") == [1, 2, *[3] * 12, 1]
    assert orders("taylor_4m@8") == [1, 2, 3, 4, 4, 3, 2, 1]
    assert orders("unipc_3@16") == [1, 2, *[3] * 12, 2, 1]
    assert orders("unipc_1@4") == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("dpmpp_2s@1", [1]),
        ("dpmpp_2s@2", [1, 1]),
        ("dpmpp_2s@5", [1, 2, 1, 2, 1]),
        ("dpmpp_2s@6", [1, 2, 1, 2, 1, 1]),
        ("dpmpp_3s@2", [1, 1]),
        ("dpmpp_3s@3", [1, 2, 1]),
        ("dpmpp_3s@7", [1, 2, 3, 1, 2, 3, 1]),
        ("dpmpp_3s@8", [1, 2, 3, 1, 2, 3, 1, 1]),
        ("dpmpp_3s@9", [1, 2, 3, 1, 2, 3, 1, 2, 1]),
    ],
)
def test_singlestep_runs_go_back_to_their_first_state(
    name: str, runs: list[int], make: Make
) -> None:
    steps = baseline(name, make("vp")).steps
    assert [step.order for step in steps] == runs
    assert [step.choice.begins for step in steps] == [-order for order in runs]


def test_correctors_of_the_solvers(make: Make) -> None:
    unipc = baseline("unipc_bh1@4", make("vp")).steps
    assert [step.corrector for step in unipc] == ["pseudo"] * 4
    assert {step.form for step in unipc} == {"unipc_bh1"}
    plan = compile_recipe(baseline("unipc@4", make("vp")), make("vp"))
    kinds = [step.corrector.kind if step.corrector else None for step in plan.steps]
    # To clean data only the evaluation counts, so the state before needs no correction.
    assert kinds == ["pseudo", "pseudo", None, None]
    heun = compile_recipe(baseline("heun@4", make("vp")), make("vp"))
    kinds = [step.corrector.kind if step.corrector else None for step in heun.steps]
    assert kinds == ["implicit"] * 3 + [None]
    assert all(step.order == 1 for step in heun.steps)


def test_analytic_first_steps(make: Make) -> None:
    """From the noisiest time, whatever the grid of the plain solver."""
    for solver, plain in (("ddim", "ddim-linspace-ms"), ("dpmpp_2m", "dpmpp_2m")):
        for suffix, data in (("afs", "zero_x0"), ("afs_mean", "average_x0")):
            name = f"{solver}_{suffix}"
            analytic = baseline(f"{name}@4", make("vp")).to_dict()
            assert analytic["steps"][0]["time"] == 999
            assert analytic["steps"][0].pop("evaluate") == data
            assert analytic == baseline(f"{plain}@4", make("vp")).to_dict()
            alone = baseline(f"{name}@1", make("vp")).to_dict()
            assert alone == baseline(f"{plain}@1", make("vp")).to_dict()


def test_stochastic_solvers_are_those_with_eta(make: Make) -> None:
    for name, solver in SOLVERS.items():
        steps = baseline(f"{name}@6", make("vp")).steps
        assert any(step.eta for step in steps) == solver.stochastic
        assert solver.summary
        assert 0 <= solver.order <= 4


def test_a_search_has_the_usual_ones(make: Make) -> None:
    """Others are there by name."""
    names = {split_name(f"{name}@6").solver for name in baseline_names(make("vp").schedule)}
    assert names == {name for name, solver in SOLVERS.items() if solver.usual}
    assert {"ipndm", "lms", "sa_solver", "neural_solver"} <= SOLVERS.keys() - names


def test_sa_solver_is_stochastic_at_the_middle_times(make: Make) -> None:
    for model, times in (("vp", 1000), ("flow", 1)):
        steps = baseline("sa_solver@10", make(model)).steps
        middle = [0.2 <= round(step.time / times, 6) <= 0.8 for step in steps]
        assert [bool(step.eta) for step in steps] == middle
        assert any(middle)
        assert not all(middle)
    edm = baseline("sa_solver@10", make("edm")).steps
    assert [bool(step.eta) for step in edm] == [0.05 <= step.time <= 1 for step in edm]


def test_ddim_as_designed(make: Make) -> None:
    recipe = baseline("ddim@4", make("vp"))
    assert recipe.to_dict()["steps"] == [{"time": t} for t in (750, 500, 250, 0)]
    assert recipe.start.scale == "unit"
    assert recipe.end == "clean"


def test_more_steps_come_closer_to_the_data(make: Make) -> None:
    """The moments of the samples approach the mixture's, and higher orders are the faster."""
    denoiser = make("vp")
    target = torch.as_tensor(denoiser.mixture.covariance).float()

    def distance(name: str) -> float:
        plan = compile_recipe(baseline(name, denoiser), denoiser)
        x = sample_indices(denoiser, plan, range(1000), seed=0, stream=Stream.SEARCH)
        return float((torch.cov(x.T) - target).norm())

    ddim = [distance(f"ddim-logsnr@{steps}") for steps in (4, 8, 40)]
    assert ddim == sorted(ddim, reverse=True)
    assert distance("dpmpp_2m-logsnr@8") < ddim[1]
    for name, solver in SOLVERS.items():
        if not solver.order:
            continue  # of distilled models, or of times of its own
        reached = distance(f"{name}-logsnr@40")
        assert reached < 0.2
        if solver.order > 1:
            assert reached < 0.6 * ddim[2]
