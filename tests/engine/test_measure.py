"""From rows to estimates: what is asked of workers, what is refused, what comes out."""

from typing import Any

import numpy as np
import pytest
import torch

from autosearch.baselines import baseline
from autosearch.diffusion.noise import Stream
from autosearch.diffusion.plan import compile_recipe
from autosearch.diffusion.plan.plan import Plan
from autosearch.diffusion.sampling.sampler import sample_indices
from autosearch.engine.measure import Measure, make_objectives
from autosearch.engine.teacher import Teacher
from autosearch.errors import Infeasible, UserError
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Estimate

TEACHER = "dpmpp_2m@100"


@pytest.fixture(scope="module")
def model() -> MixtureModel:
    return MixtureModel.load(dimension=3, components=2)


def plan_of(model: MixtureModel, name: str) -> Plan:
    return compile_recipe(baseline(name, model.denoiser), model.denoiser)


def measure(model: MixtureModel, *names: str) -> Measure:
    return Measure(model, make_objectives(names))


def ends(model: MixtureModel, name: str, samples: int) -> Any:
    plan = plan_of(model, name)
    return sample_indices(model.denoiser, plan, range(samples), seed=0, stream=Stream.SEARCH)


# -- what is asked -----------------------------------------------------------------------------


def test_needs_are_those_of_the_objectives(model):
    assert measure(model, "nfe", "macs").needs == frozenset()
    assert measure(model, "fid", "kid", "nfe").needs == {"features"}
    # Workers know no teacher: they return the samples, and the distance is computed here.
    both = measure(model, "fid", "teacher_mse")
    assert both.needs == {"features", "final"}
    assert both.needs_teacher
    assert not measure(model, "fid").needs_teacher


def test_objectives_that_the_model_cannot_give_are_refused(model):
    with pytest.raises(UserError, match="'is' needs logits, which model 'mixture' cannot give"):
        measure(model, "nfe", "is")
    with pytest.raises(
        UserError, match="it gives features, final, teacher, teacher_features, teacher_mse"
    ):
        measure(model, "fd_pixels")
    with pytest.raises(UserError, match="objectives: 'nfe' stands twice"):
        make_objectives(["nfe", "fid", "nfe"])
    with pytest.raises(UserError, match="report: unknown objective 'nfo'; did you mean 'nfe'"):
        make_objectives(["nfo"], where="report")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (0, "samples: 0 is not a multiple of the seed block of 100; use 100"),
        (99, "use 100"),
        (149, "use 100"),
        (151, "use 200"),
        (10**30 + 1, "is not a multiple"),
    ],
)
def test_numbers_of_samples_that_are_no_whole_blocks_are_refused(model, samples, message):
    with pytest.raises(UserError, match=message):
        measure(model, "fid").check_samples(samples, where="samples")


def test_numbers_of_samples_that_mean_nothing_are_refused():
    wide = MixtureModel.load(dimension=30, components=1)
    checked = measure(wide, "fid", "nfe")
    with pytest.raises(UserError, match="here: 100 is too few for fid, which needs at least 180"):
        checked.check_samples(100, where="here")
    checked.check_samples(200, where="here")
    measure(wide, "teacher_mse").check_samples(100, where="here")


# -- what comes out ----------------------------------------------------------------------------


def test_declared_and_measured_objectives(model):
    plan = plan_of(model, "ddim@4")
    x = ends(model, "ddim@4", 200)
    asked = measure(model, "fid_plain", "nfe", "macs")
    found = asked.estimates(plan, model.rows(x, asked.needs), samples=200)
    assert list(found) == ["fid_plain", "nfe", "macs"]
    assert found["nfe"] == Estimate(4.0)
    assert found["macs"] == Estimate(4.0 * model.denoiser.macs)
    assert len(found["fid_plain"].pseudo) == 40
    assert found["fid_plain"].value > 0
    only = measure(model, "nfe", "memory")
    assert only.estimates(plan, {}, samples=0)["nfe"] == Estimate(4.0)


def test_the_distance_to_the_teacher(model):
    samples = 100
    teacher = Teacher(ends(model, TEACHER, samples).flatten(1).numpy())
    asked = measure(model, "teacher_mse")

    def distance(name: str, shift: float = 0.0) -> float:
        rows = {"final": ends(model, name, samples).flatten(1).numpy() + np.float32(shift)}
        return (asked.estimates(plan_of(model, name), rows, samples=samples, teacher=teacher))[
            "teacher_mse"
        ].value

    assert distance(TEACHER) == 0
    assert distance(TEACHER, shift=0.5) == pytest.approx(0.25, rel=1e-5)
    assert 0 < distance("dpmpp_2m@40") < distance("dpmpp_2m@10") < distance("dpmpp_2m@3")


def test_stochastic_recipes_have_no_distance_to_the_teacher(model):
    asked = measure(model, "teacher_mse", "nfe")
    assert asked.check_plan(plan_of(model, "ddim@4")) is None
    refused = "teacher_mse is not defined for stochastic recipes"
    assert asked.check_plan(plan_of(model, "ddpm@4")) == refused
    assert measure(model, "fid").check_plan(plan_of(model, "ddpm@4")) is None


def test_rows_that_are_not_finite_are_infeasible(model):
    x = ends(model, "ddim@2", 100).clone()
    x[7, 1] = torch.nan
    asked = measure(model, "fid")
    plan = plan_of(model, "ddim@2")
    with pytest.raises(Infeasible, match="features of 1 of 100 samples are not finite"):
        asked.estimates(plan, model.rows(x, asked.needs), samples=100)


@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")
def test_estimates_that_are_not_finite_are_infeasible(model):
    asked = measure(model, "fid")
    rows = {"features": ends(model, "ddim@2", 100).double().numpy() * 1e200}
    with pytest.raises(Infeasible, match="fid is not finite"):
        asked.estimates(plan_of(model, "ddim@2"), rows, samples=100)
