"""TPE on a box: what Optuna would say, and what is ours round it."""

import logging

import numpy as np
import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from autosearch.algorithms import TPE, Proposal, Result
from autosearch.algorithms.optuna_box import distribution
from autosearch.algorithms.unit_box import UnitBox
from autosearch.errors import UserError
from autosearch.spaces import Parameter

BOX = [
    Parameter("u", "float", -1.5, 1.5),
    Parameter("v", "float", 0.0, 4.0),
    Parameter("n", "int", 2, 9),
    Parameter("c", "choice", choices=("p", "q", "r")),
]


def rng(k: int) -> np.random.Generator:
    return np.random.default_rng([5, k])


def loss(point) -> float:
    wrong = 0.0 if point.get("c", "q") == "q" else 1.0
    return (point["u"] - 0.7) ** 2 + 0.2 * (point["v"] - 1.0) ** 2 + 0.1 * point.get("n", 2) + wrong


def told(space, count: int, objectives: int, *, constrained: bool = False) -> list[Result]:
    """Results of random points; the third of each five failed, some break a constraint."""
    box = UnitBox(space.box())
    results = []
    for k in range(count):
        point = box.point(rng(k).random(box.dimension))
        values = (loss(point), float(point.get("n", point["u"])), point["v"])[:objectives]
        violations = (point["u"] - 0.5,) if constrained else ()
        failed = k % 5 == 2
        results.append(
            Result(
                k,
                space.from_box(point),
                None if failed or max(violations, default=0) > 0 else values,
                point=point,
                measured=None if failed else values,
                violations=() if failed else violations,
            )
        )
    return results


def native(space, results, running, seed: int, objectives: int, **settings) -> dict:
    """What Optuna itself suggests, its trials added one by one."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {p.name: distribution(p) for p in space.box()}
    study = optuna.create_study(
        directions=["minimize"] * objectives, sampler=TPESampler(seed=seed, **settings)
    )
    for result in results:
        failed = result.measured is None
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if failed else TrialState.COMPLETE,
                params=dict(result.point),
                distributions=distributions,
                values=None if failed else result.measured,
                constraints={str(i): v for i, v in enumerate(result.violations)},
            )
        )
    for point in running:
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(point), distributions=distributions)
        )
    return study.ask(fixed_distributions=distributions).params


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("constrained", [False, True])
def test_it_says_what_optuna_says(box_of, objectives, constrained):
    space = box_of(BOX)
    algorithm = TPE(space, objectives=objectives, startup=10, candidates=12)
    results = told(space, 40, objectives, constrained=constrained)
    algorithm.tell(results, [])
    running = [result.point for result in told(space, 46, objectives)[40:]]
    pending = [Proposal(space.from_box(point), point) for point in running]
    for k in range(5):
        seed = int(rng(100 + k).integers(2**32))
        expected = native(
            space, results, running, seed, objectives, n_startup_trials=10, n_ei_candidates=12
        )
        proposal = algorithm.ask(rng(100 + k), pending)
        assert dict(proposal.point) == expected
        assert proposal.genome == space.from_box(expected)


def test_pending_proposals_change_what_it_says(box_of):
    space = box_of(BOX[:2])
    algorithm = TPE(space, objectives=1, startup=5)
    algorithm.tell(told(space, 30, 1), [])
    first = [algorithm.ask(rng(k), []) for k in range(10)]
    again = [algorithm.ask(rng(k), first) for k in range(10)]
    assert not [proposal for proposal in again if proposal in first]


@pytest.mark.parametrize("multivariate", [True, False])
def test_it_finds_what_random_points_do_not(box_of, multivariate):
    space = box_of(BOX)
    best = []
    for seed in range(3):
        algorithm = TPE(space, objectives=1, multivariate=multivariate)
        values = []
        for k in range(80):
            proposal = algorithm.ask(np.random.default_rng([seed, k]), [])
            values.append(loss(proposal.point))
            result = Result(k, proposal.genome, (values[-1],), point=proposal.point)
            algorithm.tell([result], [])
        best.append(min(values))
    box = UnitBox(BOX)
    draws = [
        min(loss(box.point(np.random.default_rng([9, s, k]).random(4))) for k in range(80))
        for s in range(15)
    ]
    assert np.median(best) < np.quantile(draws, 0.1)


def test_constraints_steer_it(box_of):
    """The best values lie where the constraint is broken."""
    space = box_of(BOX[:2])
    shares = {}
    for told_of_it in (True, False):
        algorithm = TPE(space, objectives=1, startup=10)
        for k in range(60):
            proposal = algorithm.ask(rng(k), [])
            point = proposal.point
            broken, value = point["u"] + 0.5, (-point["u"],)
            feasible = broken <= 0 or not told_of_it
            algorithm.tell(
                [
                    Result(
                        k,
                        proposal.genome,
                        value if feasible else None,
                        point=point,
                        measured=value,
                        violations=(broken,) if told_of_it else (),
                    )
                ],
                [],
            )
        last = [algorithm.ask(rng(500 + k), []).point["u"] for k in range(40)]
        shares[told_of_it] = float(np.mean([u <= -0.5 for u in last]))
    assert shares[True] >= 0.5
    assert shares[False] < 0.2


def test_known_and_forbidden_plans_are_left_out_until_nothing_is_left(box_of):
    space = box_of([Parameter("n", "int", 1, 6), Parameter("c", "choice", choices=("p", "q"))])
    algorithm = TPE(space, objectives=2, startup=3)
    algorithm.permits = lambda genome: genome["n"] < 6
    found = []
    for k in range(10):
        proposal = algorithm.ask(rng(k), found[-2:])
        assert proposal is not None
        found.append(proposal)
        if len(found) > 2:
            old = found[-3]
            values = (float(old.point["n"]), 1.0)
            algorithm.tell([Result(k, old.genome, values, point=old.point)], found[-2:])
    assert len({(p.point["n"], p.point["c"]) for p in found}) == 10
    assert algorithm.ask(rng(99), found[-2:]) is None


def test_baselines_are_known_but_not_learned_from(box_of):
    space = box_of(BOX)
    algorithm, untouched = (TPE(space, objectives=1, startup=1) for _ in range(2))
    for other in (algorithm, untouched):
        other.tell(told(space, 20, 1), [])
    proposed = untouched.ask(rng(3), [])
    algorithm.tell([Result(70, space.from_box(told(space, 40, 1)[35].point), (-9.0,))], [])
    assert algorithm.ask(rng(3), []) == proposed
    algorithm.tell([Result(71, proposed.genome, (1.0,))], [])
    assert algorithm.ask(rng(3), []) != proposed


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_long_history_keeps_the_best_and_the_latest(box_of, objectives):
    space = box_of(BOX[:2])
    algorithm = TPE(space, objectives=objectives, startup=5, history=40)
    results = told(space, 51, objectives)
    algorithm.tell(results[:50], [])
    assert len(algorithm._trials) == 50
    algorithm.tell(results[50:51], [])
    kept = [trial.params for trial in algorithm._trials]
    assert len(kept) == 40
    assert kept[-20:] == [dict(result.point) for result in results[31:51]]
    best = sorted((r for r in results[:51] if r.values), key=lambda r: r.values)
    for result in best[: 20 if objectives == 1 else 1]:
        assert dict(result.point) in kept


def test_optuna_stays_silent_and_its_settings_come_back(box_of, capfd, recwarn):
    optuna.logging.set_verbosity(logging.INFO)
    space = box_of(BOX)
    algorithm = TPE(space, objectives=2, startup=2)
    algorithm.tell(told(space, 10, 2), [])
    assert algorithm.ask(rng(0), []) is not None
    assert optuna.logging.get_verbosity() == logging.INFO
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"startup": 0}, r"startup: 0 is too small"),
        ({"candidates": 0}, r"candidates: 0 is too small"),
        ({"history": 10}, r"history: 10 is below startup, 16"),
    ],
)
def test_impossible_settings_are_refused(box_of, settings, message):
    with pytest.raises(UserError, match=message):
        TPE(box_of(BOX), objectives=2, **settings)


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [
        (Parameter("u", "float", -1.0, 2.0), -1.0, 2.0),
        (Parameter("n", "int", 3.0, 7.0), 3, 7),
    ],
)
def test_distributions_have_the_parameters_ends(parameter, low, high):
    found = distribution(parameter)
    assert (found.low, found.high) == (low, high)
    assert type(found.low) is type(low)
    assert distribution(BOX[3]).choices == ("p", "q", "r")
