"""Gaussian processes on a box."""

from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import GPSampler
from optuna.trial import TrialState, create_trial

from autosearch.algorithms import GP, Proposal, Result
from autosearch.algorithms.optuna_box import distribution
from autosearch.algorithms.unit_box import UnitBox
from autosearch.errors import UserError
from autosearch.spaces import Parameter

BOX = [Parameter("u", "float", -1.0, 1.0), Parameter("v", "float", 0.0, 3.0)]


def loss(point) -> float:
    return (point["u"] - 0.3) ** 2 + (point["v"] - 2.0) ** 2


def told(space, count: int, *, constrained: bool = False) -> list[Result]:
    box = UnitBox(space.box())
    results = []
    for k in range(count):
        point = box.point(np.random.default_rng([5, k]).random(box.dimension))
        violation = point["u"]
        results.append(
            Result(
                k,
                space.from_box(point),
                None if constrained and violation > 0 else (loss(point),),
                point=point,
                measured=(loss(point),),
                violations=(violation,) if constrained else (),
            )
        )
    return results


@pytest.mark.parametrize("constrained", [False, True])
def test_it_says_what_optuna_says(box_of, constrained):
    space = box_of(BOX)
    results = told(space, 9, constrained=constrained)
    algorithm = GP(space, objectives=1, startup=5)
    algorithm.tell(results[:8], [])
    running = results[8].point
    rng = np.random.default_rng(1)
    proposal = algorithm.ask(rng, [Proposal(space.from_box(running), running)])
    distributions = {p.name: distribution(p) for p in BOX}
    seed = int(np.random.default_rng(1).integers(2**32))
    study = optuna.create_study(sampler=GPSampler(seed=seed, n_startup_trials=5))
    # Logarithms, cut off at the median and one and a half times the upper quartile above it.
    logs = np.log([result.measured[0] for result in results[:8]])
    ranked = np.sort(logs)
    median = (ranked[3] + ranked[4]) / 2
    quartile = ranked[5] + 0.25 * (ranked[6] - ranked[5])
    scores = np.minimum(logs, median + 1.5 * (quartile - median))
    for result, score in zip(results[:8], scores.tolist(), strict=True):
        study.add_trial(
            create_trial(
                params=dict(result.point),
                distributions=distributions,
                values=[score],
                constraints={str(i): v for i, v in enumerate(result.violations)},
            )
        )
    waiting = create_trial(
        state=TrialState.RUNNING, params=dict(running), distributions=distributions
    )
    study.add_trial(waiting)
    expected = study.ask(fixed_distributions=distributions).params
    assert dict(proposal.point) == pytest.approx(expected, abs=1e-6)


def test_it_needs_few_results_for_a_smooth_function(box_of):
    space = box_of(BOX)
    algorithm = GP(space, objectives=1, startup=6)
    values = []
    for k in range(16):
        proposal = algorithm.ask(np.random.default_rng([3, k]), [])
        values.append(loss(proposal.point))
        algorithm.tell([Result(k, proposal.genome, (values[-1],), point=proposal.point)], [])
    assert min(values[:6]) > 0.05
    assert min(values) < 0.03


def test_a_few_that_diverge_do_not_hide_the_others(box_of):
    """How far off they are makes no difference."""
    space = box_of(BOX)
    mild, wild = (GP(space, objectives=1, startup=5) for _ in range(2))
    for result in told(space, 9):
        mild.tell([result], [])
        worst = (result.measured[0] * (1e6 if result.measured[0] > 3 else 1),)
        wild.tell([replace(result, values=worst, measured=worst)], [])
    asked = [algorithm.ask(np.random.default_rng(2), []) for algorithm in (mild, wild)]
    assert asked[0] == asked[1]


def test_threads_come_back(box_of):
    space = box_of(BOX)
    algorithm = GP(space, objectives=1, startup=2)
    algorithm.tell(told(space, 3), [])
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert algorithm.ask(np.random.default_rng(0), []) is not None
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_a_box_of_more_than_sixteen_dimensions_is_refused(space, monkeypatch):
    wide = [Parameter(f"u{i}", "float", 0.0, 1.0) for i in range(17)]
    monkeypatch.setattr(type(space.families[0]), "box", lambda family: wide)
    with pytest.raises(UserError, match="at most 16 are searched well") as caught:
        GP(space, objectives=1)
    assert "\n" not in str(caught.value)


def test_it_bears_two_hundred_candidates():
    assert GP.most_candidates == 200
