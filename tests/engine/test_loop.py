"""The loop: order, budgets, duplicates, constraints, failures, interruption."""

import hashlib
import json

import numpy as np
import pytest

from autosearch.algorithms import Algorithm
from autosearch.baselines import baseline
from autosearch.engine.workers.base import Outcome
from autosearch.errors import Infeasible

# Nothing but the order of a step may vary.
ORDERS_ALONE = {
    "predictions": ["data"],
    "forms": ["taylor"],
    "relaxations": [],
    "correctors": ["none"],
    "restarts": [-1],
    "evaluations": ["network"],
    "estimates": False,
}


class Sensitive(Algorithm):
    """Proposes by a digest of every call that tells it something, so that any difference shows."""

    name, summary = "sensitive", ""

    def __init__(self, space, *, objectives):
        super().__init__(space, objectives=objectives)
        self.state = hashlib.sha256()

    def ask(self, rng, pending):
        text = json.dumps([self.state.hexdigest(), [p.genome for p in pending]])
        digest = hashlib.sha256(text.encode()).digest()
        return self.space.sample(np.random.default_rng([*digest, int(rng.integers(2**32))]))

    def tell(self, results, pending):
        told = [(r.id, r.genome, r.values) for r in results]
        self.state.update(json.dumps([told, [p.genome for p in pending]]).encode())


def sensitive(problem):
    """Replaces the problem's algorithm."""
    return Sensitive(problem.space, objectives=2)


class Fixed(Algorithm):
    """Proposes from a list, over and over."""

    name, summary = "fixed", ""

    def __init__(self, space, genomes):
        super().__init__(space, objectives=2)
        self.genomes, self.asked = genomes, 0

    def ask(self, rng, pending):
        self.asked += 1
        return self.genomes[int(rng.integers(len(self.genomes)))] if self.genomes else None


def proposing(*names):
    """Makes the problem's algorithm propose these baselines."""

    def make(problem):
        genomes = [problem.space.encode(baseline(name, problem.denoiser)) for name in names]
        return Fixed(problem.space, genomes)

    return make


# -- order -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["nsga2", "random", "sensitive"])
def test_fixed_order_asks_the_same_whoever_finishes_first(runner, algorithm):
    keys = {"budget": {"candidates": 120}}
    if algorithm == "sensitive":
        keys["algorithm_of"] = sensitive
    else:
        keys["algorithm"] = algorithm
    runs = [
        runner.search(size=size, seed=seed, **keys)
        for size, seed in [(1, 0), (2, 1), (5, 2), (16, 3)]
    ]
    for run in runs:
        assert len(run.asks) == 120
        assert sum(ask["kind"] == "search" for ask in run.asks) >= 100
        assert run.asks == runs[0].asks
        assert run.stop == "budget"
        assert [run.results[k]["values"] for k in range(120)] == [
            runs[0].results[k]["values"] for k in range(120)
        ]
    # They did finish in different orders, with several in flight.
    orders = {tuple(run.results) for run in runs}
    assert len(orders) == len(runs)
    assert all(run.executor.most >= run.executor.size for run in runs)


def test_a_candidate_is_asked_for_after_exactly_the_results_before_its_lag(runner):
    run = runner.search(size=3, lag=7, algorithm_of=sensitive)
    first = run.baselines
    for ask in run.asks:
        assert ask["told"] == (0 if ask["id"] < first else max(0, ask["id"] - 7 + 1))
    position = {}
    for place, record in enumerate(run.records):
        position[record["type"], record.get("id")] = place
    for ask in run.asks[first:]:
        for told in range(ask["told"]):
            assert position["result", told] < position["ask", ask["id"]]


def test_the_lag_is_part_of_the_config(runner):
    asks = [
        [a["identity"] for a in runner.search(lag=lag, algorithm_of=sensitive).asks]
        for lag in (2, 4)
    ]
    assert asks[0][:5] == asks[1][:5]
    assert asks[0] != asks[1]


def test_workers_beyond_the_lag_change_nothing(runner):
    run = runner.search(size=5, lag=4)
    assert run.executor.most == max(4, run.baselines)
    assert run.asks == runner.search(size=1, lag=4).asks
    assert runner.search(size=5, lag=4, order="arrival").executor.most > run.executor.most


def test_seeds_differ(runner):
    genomes = []
    for number in (0, 1):
        run = runner.search(algorithm="random", given={"seed": number})
        genomes.append([ask["genome"] for ask in run.asks if ask["kind"] == "search"])
    assert not [genome for genome in genomes[0] if genome in genomes[1]]


def test_arrival_order_runs_and_replays(runner):
    live = runner.search(name="a", size=5, seed=1, order="arrival", algorithm_of=sensitive)
    assert len(live.asks) == 40
    assert {ask["told"] for ask in live.asks} == {0}
    state = live.engine._algorithm.state.hexdigest()
    again = runner.search(
        name="a", order="arrival", algorithm_of=sensitive, budget={"candidates": 40}
    )
    assert again.engine._algorithm.state.hexdigest() == state
    other = runner.search(size=5, seed=2, order="arrival", algorithm_of=sensitive)
    assert other.asks != live.asks  # it does depend on who finished first


# -- duplicates and constraints ----------------------------------------------------------------


def test_duplicates_are_counted_and_never_evaluated(runner, tools):
    names = [f"{solver}-trailing@{k}" for solver in ("ddim", "dpmpp_2m") for k in range(3, 7)]
    run = runner.search(algorithm_of=proposing("ddim@3", *names), lag=3)
    assert run.stop == "space exhausted"
    assert len(run.asks) == run.baselines + len(names)
    assert run.study.duplicates == sum(ask["duplicates"] for ask in run.asks) > 0
    evaluated = run.evaluator.evaluated
    assert max(evaluated.values()) == 1
    assert len(evaluated) == len(run.asks) == len({ask["identity"] for ask in run.asks})


def test_declared_constraints_cost_nothing(runner):
    keys = {"constraints": {"nfe": {"max": 4}}, "budget": {"candidates": 30}}
    run = runner.search(**keys)
    assert len(run.asks) == 30
    assert all(c.values["nfe"].value <= 4 for c in run.study.feasible)
    assert len(run.evaluator.evaluated) == 30
    assert all(result["status"] == "ok" for result in run.results.values())
    # What is not among the objectives can be constrained too.
    macs = 3 * run.problem.denoiser.macs
    other = runner.search(constraints={"macs": {"max": macs}}, budget={"candidates": 10})
    assert all(c.values["nfe"].value <= 3 for c in other.study.feasible)


def test_measured_constraints_make_a_result_infeasible(runner):
    run = runner.search(constraints={"fid_plain": {"max": 2.0}}, size=3)
    judged = {result["status"] for result in run.results.values()}
    assert judged == {"ok", "infeasible"}
    for result in run.results.values():
        value = result["values"]["fid_plain"]["value"]
        assert (result["status"] == "infeasible") == (value > 2)
        if value > 2:
            assert result["reason"] == f"fid_plain {value:g} is above 2"
    assert all(c.values["fid_plain"].value <= 2 for c in run.study.feasible)


# -- budgets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 5, 6, 33])
def test_the_budget_of_candidates_is_exact(runner, limit):
    for size in (1, 7):
        run = runner.search(size=size, budget={"candidates": limit})
        assert len(run.asks) == len(run.results) == limit
        assert run.stop == "budget"


def test_the_budget_of_forward_equivalents_is_exact(runner):
    limit = 10_000.0
    runs = [
        runner.search(size=size, seed=size, budget={"forward_equivalents": limit})
        for size in (1, 2, 5, 16)
    ]
    for run in runs:
        assert run.asks == runs[0].asks
        assert run.study.planned <= limit
        # The largest plan of the space is all that can be left over.
        assert run.study.planned > limit - 6 * 100
        assert run.study.planned == run.study.executed == sum(a["nominal"] for a in run.asks)


def test_whichever_budget_is_used_up_first_ends_the_search(runner):
    run = runner.search(budget={"candidates": 9, "forward_equivalents": 1e9, "hours": 5})
    assert len(run.asks) == 9
    run = runner.search(budget={"candidates": 9, "hours": 1e-9})
    assert len(run.asks) == 0
    assert run.stop == "budget"


def test_a_space_without_anything_new_ends(runner):
    orders = {"solver": {**ORDERS_ALONE, "orders": [1, 2]}}
    runs = [
        runner.search(size=size, space=orders, algorithm="random", budget={"candidates": 1000})
        for size in (1, 4)
    ]
    for run in runs:
        # The first and the last of ten steps are of order 1: 2^8 plans.
        assert 150 < len(run.asks) <= 256
        assert run.asks == runs[0].asks
        assert run.stop == "space exhausted"
        assert len(run.results) == len(run.asks)
    one = runner.search(space={"solver": {**ORDERS_ALONE, "orders": [1]}})
    assert [ask["name"] for ask in one.asks] == ["ddim@10"]
    assert one.stop == "space exhausted"
    none = runner.search(space=orders, baselines=[], algorithm_of=proposing())
    assert (none.asks, none.stop) == ([], "space exhausted")


def test_a_barren_ask_waits_for_more_results(runner):
    """Nothing to propose until all is told is not the end."""

    class Late(Fixed):
        told = 0

        def ask(self, rng, pending):
            return self.space.sample(rng) if self.told >= 5 else None

        def tell(self, results, pending):
            self.told += len(results)

    def make(problem):
        return Late(problem.space, [])

    runs = [runner.search(size=size, seed=size, algorithm_of=make) for size in (1, 3)]
    assert runs[0].asks == runs[1].asks
    assert len(runs[0].asks) == 40
    assert runs[0].asks[5]["told"] == 5


# -- what goes wrong ---------------------------------------------------------------------------


def failing(tools, wrong):
    """An evaluator for which every third plan goes wrong."""

    class Failing(tools.fake):
        def evaluate(self, task):
            outcome = super().evaluate(task)
            return wrong(task, outcome) if int(task.plan.identity, 16) % 3 == 0 else outcome

    return Failing()


def not_finite(task, outcome):
    rows = {name: values.copy() for name, values in outcome.rows.items()}
    rows["features"][5, 0] = np.nan
    return Outcome(task.id, rows=rows, forward_equivalents=1.0)


def huge(task, outcome):
    rows = {name: values.astype(float) * 1e200 for name, values in outcome.rows.items()}
    return Outcome(task.id, rows=rows, forward_equivalents=1.0)


def refused(task, outcome):
    raise Infeasible("non-finite samples in seed block 0")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (not_finite, "fid: features of 1 of 100 samples are not finite"),
        (huge, "fid is not finite"),
        (refused, "non-finite samples in seed block 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value).*:RuntimeWarning")
def test_what_cannot_be_measured_is_recorded_and_the_search_goes_on(runner, tools, wrong, reason):
    runs = [runner.search(size=size, evaluator=failing(tools, wrong)) for size in (1, 4)]
    for run in runs:
        assert run.asks == runs[0].asks
        assert len(run.results) == 40
        bad = [r for r in run.results.values() if r["status"] == "infeasible"]
        assert 3 < len(bad) < 37
        assert {r["reason"] for r in bad} == {reason}
        assert all(r["values"] == {} for r in bad)
        assert len(run.study.feasible) == 40 - len(bad)


def evaluated(step) -> bool:
    return step.get("evaluate", "network") == "network"


def test_samples_that_are_not_finite_are_infeasible_in_the_real_evaluator(runner, tools):
    from autosearch.engine.workers.evaluator import ModelEvaluator
    from autosearch.models.spec import ModelSpec

    real = ModelEvaluator(ModelSpec("mixture", {"dimension": 2, "components": 2}))
    denoise = real.model.denoiser.denoise

    def broken(x, t, condition, **options):
        output = denoise(x, t, condition, **options)
        return {k: v * float("nan") for k, v in output.items()} if t > 700 else output

    real.model.denoiser.denoise = broken
    run = runner.search(evaluator=real)
    for ask in run.asks:
        result = run.results[ask["id"]]
        if any(evaluated(step) and step["time"] > 700 for step in ask["genome"]["steps"]):
            assert result["status"] == "infeasible"
            assert result["reason"] == "non-finite samples in seed block 0"
        else:
            assert result["status"] == "ok"
    assert 0 < len(run.study.feasible) < 40


# -- interruption ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["fixed", "arrival"])
def test_interruption_finishes_what_is_in_flight_and_resume_goes_on(runner, tools, order):
    whole = runner.search(order=order)
    looks = 0

    def stopping():
        nonlocal looks
        looks += 1
        return looks > 23

    part = runner.search(name="part", order=order, stopping=stopping)
    assert part.stop == "interrupted"
    assert 0 < len(part.asks) == len(part.results) < 40
    rest = runner.search(name="part", order=order)
    assert rest.stop == "budget"
    assert rest.study.stops == ["interrupted", "budget"]
    assert len(rest.results) == 40
    if order == "fixed":
        assert rest.asks == whole.asks
        assert tools.comparable(rest.study) == tools.comparable(whole.study)


def test_a_finished_search_has_nothing_left_to_do(runner):
    done = runner.search(name="done")
    again = runner.search(name="done")
    assert again.asks == done.asks
    assert not again.evaluator.evaluated
    more = runner.search(name="done", budget={"candidates": 60})
    assert more.asks[:40] == done.asks
    assert len(more.evaluator.evaluated) == 20
    assert more.asks == runner.search(budget={"candidates": 60}).asks


def test_nothing_is_measured_where_everything_is_declared(runner):
    run = runner.search(objectives=["nfe", "memory"], size=3)
    assert len(run.results) == 40
    assert all(ask["nominal"] == 0 for ask in run.asks)
    assert run.study.executed == 0
    assert all(set(c.values) == {"nfe", "memory"} for c in run.study.feasible)
