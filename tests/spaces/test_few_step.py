"""The schedule of four numbers: its baseline is inside, and every point is a valid recipe."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.few_step import PRESETS
from autosearch.diffusion.plan import compile_recipe
from autosearch.errors import UserError
from autosearch.spaces import FewStepSchedule, SolverChoice, Space


@pytest.fixture(params=["linear", "cosine", "edm"])
def few_step(request, spaces) -> Space:
    return make(spaces(request.param).denoiser)


def make(denoiser: Denoiser, **options: object) -> Space:
    families = [FewStepSchedule(denoiser, **options), SolverChoice(denoiser)]
    return Space(denoiser, families, baseline("ddim@10", denoiser))


def check_inside(space: Space, genome: dict) -> None:
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    assert "genes" not in space.decode(genome).to_dict()
    times = [step["time"] for step in genome["steps"]]
    assert times == sorted(times, reverse=True)
    assert times[0] == space.denoiser.schedule.first
    assert genome["end"] > space.denoiser.schedule.log_snr(times[-1])
    assert space.encode(space.decode(genome)) is None or genome["genes"]


@pytest.mark.parametrize("count", PRESETS)
def test_the_published_grid_is_inside(few_step, count):
    for solver in ("ddim", "dpmpp_2m"):
        recipe = baseline(f"{solver}-few-step@{count}", few_step.denoiser)
        genome = few_step.encode(recipe)
        assert genome is not None
        plan = compile_recipe(recipe, few_step.denoiser)
        assert few_step.plan(genome).identity == plan.identity
        assert genome["genes"]["few_step"]["n"] == PRESETS[count].n
        check_inside(few_step, genome)


def test_other_grids_are_not(few_step):
    assert few_step.encode(baseline("ddim@6", few_step.denoiser)) is None
    narrow = make(few_step.denoiser, steps=[2, 5])
    assert narrow.encode(baseline("ddim-few-step@6", few_step.denoiser)) is None


def test_operators_stay_inside_and_move(few_step):
    rng = np.random.default_rng(0)
    found = [few_step.sample(rng) for _ in range(2)]
    while len(found) < 80:
        a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
        before = json.dumps([a, b])
        child = few_step.mutate(a, rng) if rng.random() < 0.5 else few_step.crossover(a, b, rng)
        assert json.dumps([a, b]) == before
        check_inside(few_step, child)
        found.append(child)
    schedules = {json.dumps(g["genes"]) + str(len(g["steps"])) for g in found}
    assert len(schedules) >= 20
    assert len({len(g["steps"]) for g in found}) >= 5


@settings(max_examples=40, deadline=None)
@given(places=st.lists(st.floats(0, 1), min_size=11, max_size=11))
def test_every_point_of_the_box_decodes(spaces, places):
    space = make(spaces("cosine").denoiser)
    point = UnitBox(space.box()).point(np.array(places))
    genome = space.from_box(point)
    check_inside(space, genome)
    assert len(genome["steps"]) == point["few_step.steps"]
    assert genome["genes"]["few_step"]["n"] == point["few_step.n"]


def test_flow_models_are_refused_in_one_line(spaces):
    with pytest.raises(UserError, match="use timesteps"):
        FewStepSchedule(spaces("flow").denoiser)
    with pytest.raises(UserError, match=r"space.few_step.steps: .*in order .*got \[5, 2\]"):
        FewStepSchedule(spaces("linear").denoiser, steps=[5, 2])
