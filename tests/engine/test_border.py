"""Code of others: what it gets is its own, what it returns is checked, what it raises is named."""

import numpy as np
import pytest

from autosearch import models, objectives, spaces
from autosearch.algorithms import Algorithm
from autosearch.algorithms.base import Proposal
from autosearch.cli import main
from autosearch.engine.border import blame, check_rows, checked_estimate, plain_copy, third_party
from autosearch.engine.measure import Measure
from autosearch.errors import Infeasible, MeasurementFailed, UserError
from autosearch.models.mixture import MixtureModel
from autosearch.objectives import Estimate, Fid, Objective
from autosearch.spaces import Timesteps
from autosearch.study.study import Study


class OneDict(Algorithm):
    """Gives the same dictionary again and again, and changes it in between."""

    name, summary = "one-dict", ""

    def __init__(self, space):
        super().__init__(space, objectives=2)
        self.genome = {}

    def ask(self, rng, pending):
        self.genome.clear()
        self.genome.update(self.space.sample(rng))
        return self.genome

    def tell(self, results, pending):
        for genome in [*(r.genome for r in results), *(p.genome for p in pending)]:
            genome.clear()


def test_a_genome_that_is_changed_later_stays_what_was_measured(runner):
    run = runner.search(algorithm_of=lambda problem: OneDict(problem.space))
    for candidate in run.study.candidates.values():
        plan = run.problem.compile(run.study.recipe(candidate))
        assert plan.identity == candidate.identity
    assert len({candidate.identity for candidate in run.study.candidates.values()}) == 40


class Numpy(Algorithm):
    """Proposes numpy's numbers, arrays and tuples."""

    name, summary = "numpy", ""

    def ask(self, rng, pending):
        genome = self.space.sample(rng)
        steps = [{**s, "time": np.float64(s["time"])} for s in genome["steps"]]
        return {**genome, "steps": np.array(steps, dtype=object)}


def test_numbers_of_numpy_are_taken(runner):
    run = runner.search(algorithm_of=lambda problem: Numpy(problem.space, objectives=2))
    assert len(run.asks) == 40
    for candidate in run.study.candidates.values():
        assert isinstance(candidate.genome["steps"], list)
        assert {type(step["time"]) for step in candidate.genome["steps"]} <= {float, int}


class Raising(Algorithm):
    name, summary = "raising", ""

    def ask(self, rng, pending):
        raise KeyError("oh")


def test_an_exception_of_an_algorithm_is_one_line_with_its_name(runner):
    with pytest.raises(
        UserError, match=r"algorithm 'raising': KeyError: 'oh' \(.*test_border.py, line \d+\)"
    ):
        runner.search(algorithm_of=lambda problem: Raising(problem.space, objectives=2))


def test_our_own_faults_come_through():
    objective = Objective()
    with pytest.raises(KeyError), third_party("objective", objective):
        raise KeyError("ours")


@pytest.mark.parametrize(
    ("value", "message"),
    [(float("nan"), "genome.a.0 is nan"), (np.inf, "is inf"), (object(), "of type object")],
)
def test_what_a_journal_cannot_hold_is_refused_with_its_place(value, message):
    with pytest.raises(UserError, match=message):
        plain_copy(Proposal({"a": [value]}))


def test_estimates_are_checked_and_converted():
    objective = Objective()
    objective.name = "mine"
    found = checked_estimate(objective, Estimate(np.float32(0.5), (np.float64(1.0), 2)))
    assert found == Estimate(0.5, (1.0, 2.0))
    assert {type(number) for number in (found.value, *found.pseudo)} == {float}
    for value in (float("nan"), float("inf")):
        with pytest.raises(Infeasible, match="mine is not finite"):
            checked_estimate(objective, Estimate(value))
    with pytest.raises(UserError, match="'mine' returned float where an Estimate is due"):
        checked_estimate(objective, 0.5)


def test_rows_are_one_for_each_sample():
    check_rows({"features": np.zeros((4, 2)), "latency": np.zeros(5)}, 4)
    for wrong in (np.zeros((3, 2)), np.float64(1.0)):
        with pytest.raises(UserError, match="'features' are of shape"):
            check_rows({"features": wrong}, 4)


class Vandal(Objective):
    """Changes what it is given to read."""

    name, summary, needs = "vandal", "", frozenset({"features"})

    def estimate(self, rows, reference, blocks):
        rows["features"] = reference["features_mean"] = None
        return Estimate(1.0, (1.0, 1.0))


class Writer(Vandal):
    """Writes into the arrays themselves."""

    name = "writer"

    def estimate(self, rows, reference, blocks):
        rows["features"][:] = 0


def measured(*objectives: Objective) -> Measure:
    return Measure(MixtureModel.load(dimension=2), objectives)


def test_objectives_share_nothing_that_one_could_change_for_another():
    rows = {"features": np.random.default_rng(0).normal(size=(400, 2))}
    alone = measured(Fid()).estimates(None, rows, samples=400)
    beside = measured(Vandal(), Fid())
    for _ in range(2):
        assert beside.estimates(None, rows, samples=400)["fid"] == alone["fid"]
    with pytest.raises(MeasurementFailed, match=r"objective 'writer': ValueError: .*read-only"):
        measured(Writer()).estimates(None, rows, samples=400)


@pytest.mark.parametrize("value", [1e151, -1e200, float("inf")])
def test_what_a_journal_cannot_hold_is_infeasible(value):
    with pytest.raises(Infeasible, match="is not finite"):
        checked_estimate(Fid(), Estimate(value))


@pytest.mark.parametrize("value", ["1.5", None, 1j, np.array([1.0]), 10**400])
def test_what_is_no_number_is_refused_with_the_objective_s_name(value):
    with pytest.raises(UserError, match="'fid' returned an estimate that is no number"):
        checked_estimate(Fid(), Estimate(value))


# -- whose fault it is -------------------------------------------------------------------------


class OwnTimes(Timesteps):
    name, summary, fails = "own_times", "", ""

    def _fail(self, where):
        if self.fails == where:
            raise ZeroDivisionError("oh")

    def __post_init__(self):
        self._fail("made")
        super().__post_init__()

    def randomize(self, genome, rng):
        self._fail("randomize")
        super().randomize(genome, rng)

    def repair(self, genome):
        self._fail("repair")
        super().repair(genome)

    def encodes(self, genome):
        self._fail("encodes")
        return super().encodes(genome)


class OwnModel(MixtureModel):
    name, summary, fails = "own_model", "", ""

    @classmethod
    def load(cls):
        if cls.fails == "load":
            raise ZeroDivisionError("oh")
        return super().load()

    @property
    def widths(self):
        if self.fails == "widths":
            raise ZeroDivisionError("oh")
        return super().widths


class OwnCost(Objective):
    name, summary, value = "own_cost", "", 1.0

    def declared(self, plan):
        if self.value is None:
            raise ZeroDivisionError("oh")
        return self.value if plan.nfe == 3 else float(plan.nfe)


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(spaces.REGISTRY, "builtin", (*spaces.BUILTIN, OwnTimes))
    monkeypatch.setattr(models.REGISTRY, "builtin", (*models.BUILTIN, OwnModel))
    monkeypatch.setattr(objectives.REGISTRY, "builtin", (*objectives.BUILTIN, OwnCost))
    monkeypatch.setenv("AUTOSEARCH_EXECUTOR", "inprocess")
    return monkeypatch


def own_run(folder, *more):
    return main(
        [
            *("run", "mixture", "--out", str(folder / "study"), "--budget", "6"),
            *("--set", "samples=100", "--set", "validation.samples=100"),
            *("--set", "model=own_model", "--set", "space={own_times: {steps: [2, 3]}}"),
            *("--set", "objectives=[fid, own_cost]", "--set", "baselines=[ddim@2]", *more),
        ]
    )


def test_parts_of_others_are_searched(parts, tmp_path):
    assert own_run(tmp_path) == 0


@pytest.mark.parametrize(
    ("part", "where"),
    [
        *((OwnTimes, where) for where in ("made", "randomize", "repair", "encodes")),
        *((OwnModel, where) for where in ("load", "widths")),
    ],
)
def test_an_exception_of_any_part_is_one_line_with_its_name(parts, tmp_path, capsys, part, where):
    kind = {OwnTimes: "space", OwnModel: "model"}[part]
    parts.setattr(part, "fails", where)
    assert own_run(tmp_path) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"autosearch: {kind} '{part.name}': ZeroDivisionError: oh (")
    assert said.endswith("; tell its author")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -np.inf])
def test_what_a_plan_declares_may_be_no_number(parts, tmp_path, capsys, value):
    parts.setattr(OwnCost, "value", value)
    assert own_run(tmp_path) == 0
    study = Study.read(tmp_path / "study")
    reasons = {len(study.recipe(c).steps): c.reason for c in study.candidates.values()}
    assert reasons == {2: None, 3: "own_cost is not finite"}
    assert "Traceback" not in capsys.readouterr().err


def test_an_objective_that_raises_is_named(parts, tmp_path, capsys):
    parts.setattr(OwnCost, "value", None)
    assert own_run(tmp_path) == 1
    assert "objective 'own_cost': ZeroDivisionError" in capsys.readouterr().err.splitlines()[-1]


def test_our_own_faults_are_nobody_else_s():
    def fail():
        raise KeyError("ours")

    with pytest.raises(KeyError) as caught:
        fail()
    assert blame(caught.value) is None
