"""Points, constraints, limits and noise: what passes between the loop and an algorithm."""

import dataclasses

import pytest

from autosearch.algorithms import Algorithm, Proposal, RandomSearch
from autosearch.algorithms.unit_box import UnitBox
from autosearch.study.front import Front
from autosearch.study.front_text import front_text

NUMBERS = {
    "timesteps": {"steps": [2, 6]},
    "solver": {
        "orders": [1, 2],
        "predictions": ["data"],
        "forms": ["taylor"],
        "correctors": ["none"],
        "evaluations": ["network"],
    },
}


class Recorder(Algorithm):
    """Random points; every third proposal is a genome alone. Keeps what it was told."""

    name, summary = "recorder", ""

    def __init__(self, space, *, objectives):
        super().__init__(space, objectives=objectives)
        self.results, self.waiting = [], []

    def ask(self, rng, pending):
        if rng.random() < 1 / 3:
            return self.space.sample(rng)
        box = UnitBox(self.space.box())
        point = box.point(rng.random(box.dimension))
        return Proposal(self.space.from_box(point), point)

    def tell(self, results, pending):
        self.results += results
        self.waiting.append(list(pending))


def recorded(runner, **keys):
    """A search by the recorder, and the recorder."""
    made = []

    def make(problem):
        made.append(Recorder(problem.space, objectives=2))
        return made[-1]

    return runner.search(algorithm_of=make, **keys), made[-1]


# -- points ------------------------------------------------------------------------------------


def test_the_journal_keeps_points_and_results_bring_them_back(runner):
    run, live = recorded(runner, name="a", size=3)
    with_point = [ask for ask in run.asks if "point" in ask]
    assert 10 < len(with_point) < 35
    assert all(ask["point"] is not None for ask in with_point)
    assert not any("point" in ask for ask in run.asks if ask["kind"] == "baseline")
    asks = {ask["id"]: ask for ask in run.asks}
    for result in live.results:
        assert result.point == asks[result.id].get("point")
        if result.point is not None:
            assert run.problem.space.from_box(result.point) == result.genome
    for pending in live.waiting:
        assert all(isinstance(proposal, Proposal) for proposal in pending)
    assert any(proposal.point for pending in live.waiting for proposal in pending)
    # Gone on with, the same is told again.
    _, again = recorded(runner, name="a", size=3)
    assert again.results == live.results[: len(again.results)]
    assert again.waiting == live.waiting[: len(again.waiting)]
    assert len(again.results) >= len(run.asks) - 16


@pytest.mark.parametrize(
    ("algorithm", "keys"),
    [
        ({"name": "tpe", "startup": 8}, {}),
        ({"name": "cmaes", "population": 6}, {"objectives": ["fid"], "space": NUMBERS}),
        ("de", {"objectives": ["fid"], "space": NUMBERS}),
    ],
)
def test_box_algorithms_are_a_function_of_the_seed_for_any_workers(runner, algorithm, keys):
    runs = [
        runner.search(size=size, seed=size, algorithm=algorithm, lag=6, **keys)
        for size in (1, 2, 5)
    ]
    for run in runs:
        assert run.asks == runs[0].asks
        assert len(run.asks) == 40
        assert all(("point" in ask) == (ask["kind"] == "search") for ask in run.asks)
    assert len({tuple(run.results) for run in runs}) == len(runs)


def test_a_generation_ends_only_when_all_of_it_was_told(runner):
    algorithm = {"name": "cmaes", "population": 6}
    run = runner.search(algorithm=algorithm, objectives=["fid"], space=NUMBERS, size=3)
    first = run.baselines
    told = [ask["told"] for ask in run.asks[first:]]
    # Lag 16 alone would let candidate 6 of the search be asked for without the first result.
    for place, number in enumerate(told):
        assert number >= (first + place // 6 * 6 if place >= 6 else 0)


# -- constraints -------------------------------------------------------------------------------


def test_measured_values_and_violations_are_told(runner):
    run, live = recorded(runner, constraints={"fid_plain": {"max": 2.0}, "nfe": {"max": 5}})
    broken = [result for result in live.results if result.values is None]
    assert 2 < len(broken) < len(live.results) - 2
    for result in live.results:
        values = run.results[result.id]["values"]
        assert result.measured == (values["fid"]["value"], values["nfe"]["value"])
        assert result.violations == (values["fid_plain"]["value"] - 2.0,)
        assert (result.values is None) == (result.violations[0] > 0)
        assert result.values in (None, result.measured)


def test_what_could_not_be_measured_has_neither(runner, tools):
    class Failing(tools.fake):
        def evaluate(self, task):
            outcome = super().evaluate(task)
            wrong = int(task.plan.identity, 16) % 3 == 0
            return dataclasses.replace(outcome, rows={}, reason="no") if wrong else outcome

    run, live = recorded(
        runner, evaluator=Failing(), constraints={"fid_plain": {"max": 1e9}}, size=2
    )
    failed = {k for k, result in run.results.items() if result["status"] == "infeasible"}
    assert failed
    for result in live.results:
        assert (result.id in failed) == (result.measured is None)
        assert (result.id in failed) == (result.violations == ())


def test_algorithms_know_what_is_permitted(runner):
    run, live = recorded(runner, constraints={"nfe": {"max": 3}})
    space = run.problem.space
    for ask in run.asks:
        assert live.permits(ask["genome"])
        assert space.plan(ask["genome"]).nfe <= 3
    longer = [genome for genome in map(space.sample, seeds(40)) if space.plan(genome).nfe > 3]
    assert longer
    assert not any(live.permits(genome) for genome in longer)
    tpe = runner.search(constraints={"nfe": {"max": 3}}, algorithm="tpe")
    assert len(tpe.asks) == 40
    assert all(c.values["nfe"].value <= 3 for c in tpe.study.feasible)


def seeds(count):
    import numpy as np

    return [np.random.default_rng(k) for k in range(count)]


# -- limits ------------------------------------------------------------------------------------


class Bounded(RandomSearch):
    """Random search that bears twelve candidates."""

    name = "bounded"
    most_candidates = 12


def test_a_search_ends_where_its_algorithm_does(runner):
    def make(problem):
        return Bounded(problem.space, objectives=2)

    runs = [
        runner.search(size=size, algorithm_of=make, budget={"forward_equivalents": 1e9})
        for size in (1, 4)
    ]
    for run in runs:
        assert run.stop == "bounded takes at most 12 candidates"
        assert len(run.asks) == len(run.results) == 12
        assert run.asks == runs[0].asks


# -- time and noise ----------------------------------------------------------------------------


def test_the_time_of_proposals_is_kept_and_shown(runner):
    run = runner.search(algorithm={"name": "tpe", "startup": 4}, name="a")
    seconds = [result.get("proposing", 0.0) for result in run.results.values()]
    assert all(seconds[k] == 0 for k in range(run.baselines))
    assert run.study.proposing == pytest.approx(sum(seconds))
    assert 0.01 < run.study.proposing < 60
    front = Front.of(run.study)
    assert front.to_dict()["cost"]["seconds_proposing"] == round(run.study.proposing, 3)

    def text(seconds: float) -> str:
        return front_text(
            dataclasses.replace(front, spending={**front.spending, "seconds_proposing": seconds})
        )

    assert "1,234 s of proposing" in text(1234.5)
    assert "proposing" not in text(0.2)


def test_fresh_noise_is_each_candidates_own_and_common_noise_everybodys(runner, tools):
    class Seen(tools.fake):
        def __init__(self):
            super().__init__()
            self.blocks = {}

        def evaluate(self, task):
            self.blocks[task.id] = task.blocks
            return super().evaluate(task)

    runs = {}
    for noise in ("common", "fresh"):
        seen = [Seen(), Seen()]
        runs[noise] = [
            runner.search(noise=noise, samples=300, evaluator=evaluator, size=size)
            for evaluator, size in zip(seen, (1, 3), strict=True)
        ]
        first, second = runs[noise]
        assert first.asks == second.asks
        assert [r["values"] for _, r in sorted(second.results.items())] == [
            r["values"] for _, r in sorted(first.results.items())
        ]
        used = [block for blocks in seen[0].blocks.values() for block in blocks]
        assert all(len(blocks) == 3 for blocks in seen[0].blocks.values())
        assert len(set(used)) == (3 if noise == "common" else 3 * 40)
        front = Front.of(first.study)
        assert front.to_dict()["noise"] == noise
        assert ("each on its own noise" in front_text(front)) == (noise == "fresh")
    common, fresh = runs["common"][0], runs["fresh"][0]
    # Candidate 0 has the first blocks either way.
    assert common.results[0]["values"] == fresh.results[0]["values"]
    assert common.results[1]["values"] != fresh.results[1]["values"]
