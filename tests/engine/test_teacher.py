"""A teacher states its own error, and what is within it is not ordered by it."""

import json
import math

import numpy as np
import pytest
from support.records import read_records
from support.soaked import soaked

from autosearch.baselines import baseline
from autosearch.baselines.fine import teacher, teacher_name
from autosearch.baselines.fitted.calibrator import Calibrator
from autosearch.cli.status import read_status, status_data, status_text
from autosearch.engine.evaluate import RecipeEvaluation, RecipeEvaluator
from autosearch.engine.problem import Problem
from autosearch.engine.reference import sample_teacher, setup_cost
from autosearch.engine.run import run_study
from autosearch.engine.teacher import LEAST_STEPS, MOST_STEPS, Teacher, teacher_steps
from autosearch.models.mixture import MixtureModel
from autosearch.models.spec import ModelSpec
from autosearch.objectives import Estimate
from autosearch.recipe import Recipe
from autosearch.study.events import Spent
from autosearch.study.front import Front
from autosearch.study.front_text import front_text
from autosearch.study.progress import Progress
from autosearch.study.study import Study

MODELS = {
    "linear": {},
    "scaled": {"schedule": "scaled_linear"},
    "cosine": {"schedule": "cosine"},
    "edm": {"family": "edm", "schedule": "edm", "prediction": "data"},
    "flow": {"family": "flow", "schedule": "rectified", "prediction": "flow"},
}
SAMPLES = 100


def denoiser(kind: str):
    return MixtureModel.load(**MODELS[kind], dtype="float64").denoiser


def ends(kind: str, recipe: Recipe, samples: int = SAMPLES) -> np.ndarray:
    return Calibrator(denoiser(kind)).states(recipe, samples)[-1].x.numpy()


def mse(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a - b) ** 2).mean())


def evaluated(kind: str, *recipes: Recipe, **options) -> list[RecipeEvaluation]:
    settings = {"samples": SAMPLES, "seed": 0, "objectives": ["teacher_mse"], **options}
    spec = ModelSpec("mixture", {**MODELS[kind], "dtype": "float64"})
    return RecipeEvaluator(spec, **settings).evaluate(dict(zip("abcdefgh", recipes, strict=False)))


def truths(kind: str, found: RecipeEvaluation, recipes: list[Recipe]) -> list[float]:
    """Distances to a solution that is finer by far, on an evaluation's own noise."""
    exact = teacher(denoiser(kind), 600)
    spec = ModelSpec("mixture", {**MODELS[kind], "dtype": "float64"})
    sampler = RecipeEvaluator(spec, samples=found.samples, seed=found.seed, objectives=["fid"])
    with sampler._executor() as executor:
        plans = [sampler._plan("", one) for one in (exact, *recipes)]
        rows = [sampler._sample(executor, "", plan, frozenset({"final"})).rows for plan in plans]
    finals = [one["final"] for one in rows]
    return [mse(one, finals[0]) for one in finals[1:]]


# -- the recipe --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_it_covers_the_whole_range(kind: str) -> None:
    model = denoiser(kind)
    schedule = model.schedule
    for steps in (4, 50, 101):
        recipe = teacher(model, steps)
        assert len(recipe.steps) == steps
        assert recipe.steps[0].time == schedule.first
        assert recipe.steps[-1].time == schedule.last
        assert recipe.end == "clean"
        levels = [schedule.log_snr(step.time) for step in recipe.steps]
        inner = np.diff([level for level in levels if math.isfinite(level)])
        assert inner == pytest.approx(inner[0], rel=1e-3)


@pytest.mark.parametrize("kind", soaked(MODELS, but=2))
def test_its_error_falls_fast(kind: str) -> None:
    exact = ends(kind, teacher(denoiser(kind), 500))
    errors = [mse(ends(kind, teacher(denoiser(kind), n)), exact) for n in (100, 200)]
    assert errors[0] < 2e-5
    # Of order three, the mean square falls by 64; the longest steps of all are not there yet.
    assert errors[1] < errors[0] / 30
    old = baseline("dpmpp_2m@100", denoiser(kind))
    assert errors[0] < 0.2 * mse(ends(kind, old), exact)


# -- the error that it states ------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("objectives", [["teacher_mse"], ["teacher_fd"]])
def test_the_error_is_right_within_a_factor_of_two(kind: str, objectives: list[str]) -> None:
    model = denoiser(kind)
    (coarse,) = evaluated(kind, baseline("ddim@2", model), objectives=objectives)
    stated = coarse.teacher.errors[objectives[0]]
    (found,) = evaluated(kind, teacher(model, LEAST_STEPS), objectives=objectives)
    # The one is fine enough for two steps of DDIM, the other one had to be refined.
    assert coarse.teacher.name == teacher_name(LEAST_STEPS)
    assert found.teacher.name != teacher_name(LEAST_STEPS)
    assert found.within_teacher == []
    assert 0.5 < stated / found.values[objectives[0]].value < 2.0


PAIRS = [
    ("dpmpp_2m@99", "unipc_3-logsnr@30"),
    ("dpmpp_2m@100", "dpmpp_2m-logsnr@40"),
    ("dpmpp_2m@101", "taylor_3m-logsnr@60"),
    ("dpmpp_2m-logsnr@100", "unipc_3-logsnr@99"),
    ("ddim@50", "unipc@50"),
]
OTHERS = [
    ("dpmpp_2m-logsnr@99", "taylor_3m-logsnr@80"),
    ("unipc_3-logsnr@50", "unipc_3-logsnr@100"),
]
CASES = [
    ("linear", *PAIRS[0]),
    *(pytest.param("linear", *pair, marks=pytest.mark.soak) for pair in PAIRS[1:]),
    *(
        pytest.param(kind, *pair, marks=pytest.mark.soak)
        for kind in ("scaled", "cosine", "edm", "flow")
        for pair in OTHERS
    ),
]


@pytest.mark.parametrize(("kind", "first", "second"), CASES)
def test_its_error_decides_no_order(kind: str, first: str, second: str) -> None:
    recipes = [baseline(name, denoiser(kind)) for name in (first, second)]
    found = evaluated(kind, *recipes)
    real = truths(kind, found[0], recipes)
    for one, truth in zip(found, real, strict=True):
        assert one.within_teacher == []
        assert one.values["teacher_mse"].value == pytest.approx(truth, rel=0.36)
    values = [one.values["teacher_mse"].value for one in found]
    assert np.argsort(values).tolist() == np.argsort(real).tolist()


def test_it_is_refined_no_further_than_it_helps() -> None:
    model = denoiser("linear")
    (found,) = evaluated("linear", teacher(model, 800), samples=100)
    assert found.within_teacher == ["teacher_mse"]
    assert found.to_dict()["teacher"]["within"] == ["teacher_mse"]
    error = found.teacher.errors["teacher_mse"]
    assert found.values["teacher_mse"].value == pytest.approx(4 * error)


# -- what is within it -------------------------------------------------------------------------


def test_values_within_it_are_raised_to_one_limit() -> None:
    own = Teacher(np.zeros((2, 2)), "teacher@50", {"teacher_mse": 1e-3})
    for value in (0.0, 1e-9, 3.9e-3):
        raised = own.bounded("teacher_mse", Estimate(value, (value, value + 2e-4)))
        assert raised.value == 4e-3
        assert np.diff(raised.pseudo) == pytest.approx(2e-4)
    for kept in (Estimate(4.1e-3, (1.0, 2.0)), Estimate(0.5)):
        assert own.bounded("teacher_mse", kept) is kept
    assert own.bounded("fid", Estimate(-1.0)) == Estimate(-1.0)


@pytest.mark.parametrize(
    ("longest", "affordable", "steps"),
    [
        (10, math.inf, 100),
        (30, math.inf, 120),
        (30, 110.7, 110),
        (10, 70.0, 70),
        (10, 20.0, LEAST_STEPS),
        (10, -5.0, LEAST_STEPS),
        (1000, math.inf, MOST_STEPS),
    ],
)
def test_its_steps_are_the_candidates_and_the_budget_s(longest, affordable, steps) -> None:
    assert teacher_steps(longest, affordable) == steps


ROUGH = {
    "model": {"name": "mixture", "schedule": "cosine", "seed": 1},
    "objectives": ["teacher_mse", "nfe"],
    "baselines": ["ddim", "unipc_3-logsnr@60", "dpmpp_2m-logsnr@55"],
    "budget": {"forward_equivalents": 45_000, "candidates": 12},
    "validation": {"samples": 100},
    "samples": 100,
}


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    from tests.engine.conftest import experiment

    folder = tmp_path_factory.mktemp("rough") / "a"
    study = run_study(
        experiment(**ROUGH, workers={"count": 1, "executor": "inprocess"}),
        folder,
        resume=False,
        progress=Progress(),
    )
    return folder, study


def test_a_study_says_it_everywhere(rough) -> None:
    folder, study = rough
    events = [record for record in read_records(folder) if record["type"] == "teacher"]
    assert [event["noise"] for event in events] == ["search", "validation"]
    assert all(event["recipe"] == "teacher@50" for event in events)
    front = Front.of(study)
    data = front.to_dict()["teacher"]
    assert data["recipe"] == "teacher@50"
    assert data["errors"] == events[1]["errors"]
    text = front_text(front)
    assert "teacher teacher@50: its own error is teacher_mse" in text
    shown = status_data(read_status(folder))["teacher"]
    assert shown["errors"] == events[0]["errors"]
    assert "its own error" in status_text(read_status(folder))
    json.dumps([data, shown])
    for noise, within in ((None, shown["within"]), ((0, 100), data["within"])):
        limit = 4 * study.teacher(noise).errors["teacher_mse"]
        for candidate in study.feasible:
            values = candidate.values if noise is None else study.validated(candidate, noise)
            if values:
                value = values["teacher_mse"].value
                assert value >= limit * (1 - 1e-9)
                assert (candidate.id in within) <= (value <= limit * (1 + 1e-6))
    assert shown["within"]
    assert "within the teacher's own error, and not told apart by it" in text


def test_the_report_has_it(rough) -> None:
    from autosearch.visualization.report.facts import seed_rows

    _, study = rough
    rows = dict(seed_rows(Front.of(study), study))
    assert rows["teacher"].startswith("teacher@50, itself off by teacher_mse ")
    assert rows["within that, not told apart"]


def test_setup_costs_what_was_foreseen(rough) -> None:
    _, study = rough
    problem = Problem.of(study.experiment)
    assert setup_cost(problem) == sum(study.overheads.values()) == 100 * (50 + 100)


# -- resumes -----------------------------------------------------------------------------------


class Recording:
    """A recorder of one process for a study that is at hand."""

    def __init__(self, study: Study, executor) -> None:
        self.study, self.executor = study, executor
        self.events = []

    def interrupted(self) -> bool:
        return False

    def write(self, event) -> None:
        self.events.append(event)
        self.study.apply(event)


def test_another_budget_keeps_the_teacher_and_an_old_study_its_own(rough) -> None:
    from autosearch.engine.workers.evaluator import ModelEvaluator
    from autosearch.engine.workers.inprocess import InProcessExecutor

    _, study = rough
    richer = study.experiment.model_copy(
        update={"budget": study.experiment.budget.model_copy(update={"forward_equivalents": 1e9})}
    )
    problem = Problem.of(richer)
    with InProcessExecutor(lambda: ModelEvaluator(problem.spec)) as executor:
        again = Recording(study, executor)
        kept = sample_teacher(problem, again)
        assert kept.name == "teacher@50"
        assert kept.errors == study.teacher().errors
        before = Study(study.header)
        before.apply(
            Spent(what="teacher (search)", forward_equivalents=1.0, budgeted=1.0, nominal=1.0)
        )
        old = sample_teacher(problem, Recording(before, executor))
        assert (old.name, old.errors) == ("dpmpp_2m@100", {})
        fresh = sample_teacher(problem, Recording(Study(study.header), executor))
        assert fresh.name == "teacher@240"  # four times the 60 steps of a baseline


def test_a_reference_that_is_no_teacher_claims_no_distance_to_one() -> None:
    from autosearch.engine.prepare import prepare
    from autosearch.engine.workers.evaluator import ModelEvaluator
    from autosearch.engine.workers.inprocess import InProcessExecutor
    from tests.engine.conftest import experiment

    shown = {}
    for objectives in (["fid", "teacher_mse", "nfe"], ["teacher_mse", "nfe"]):
        problem = Problem.of(experiment(objectives=objectives, validation={"samples": 100}))
        with InProcessExecutor(lambda problem=problem: ModelEvaluator(problem.spec)) as executor:
            study = Study.of(prepare(problem, executor).events)
        front = Front.of(study)
        shown[len(objectives)] = front.reference.recipe, set(front.reference_values)
        assert set(front.to_dict()["reference"]["values"]) == set(front.reference_values)
        assert set(study.reference.values) == set(objectives) - {"nfe"}
    assert shown[3][0] in ("ddim@100", "dpmpp_2m@100")
    assert shown[3][1] == {"fid"}
    assert shown[2] == ("teacher@100", {"teacher_mse"})
