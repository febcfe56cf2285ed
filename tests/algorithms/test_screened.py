"""The model behind screened children: orders, not values, and a record that can be trusted."""

import numpy as np
import pytest

from autosearch.algorithms import Proposal, Result, Screened
from autosearch.algorithms.plan_features import descriptor
from autosearch.algorithms.rank_model import RankModel
from autosearch.errors import UserError
from autosearch.spaces import Space


def learnt(count: int, *, noise: float, transform=lambda value: value) -> RankModel:
    """ReplayDenoiser a smooth function of four numbers, or noise."""
    rng = np.random.default_rng(0)
    model = RankModel()
    for _ in range(count):
        x = rng.random(4)
        smooth = float(np.sin(2 * x[0]) + x[1] ** 2)
        value = (1 - noise) * smooth + noise * float(rng.standard_normal())
        model.learn(x, transform(value), cost=float(rng.integers(2, 10)))
    return model


def test_it_foresees_what_can_be_foreseen_and_says_when_it_cannot():
    assert learnt(150, noise=0.0).agreement > 0.7
    assert abs(learnt(150, noise=1.0).agreement) < 0.4


def test_nothing_is_said_before_there_is_a_record():
    model = learnt(30, noise=0.0)
    assert model.ready
    assert model.agreement == 0.0
    assert not learnt(10, noise=0.0).ready


def test_only_the_order_of_values_counts():
    plain, bent = (
        learnt(100, noise=0.1, transform=f) for f in (lambda v: v, lambda v: np.exp(5 * v))
    )
    x = np.random.default_rng(1).random((20, 4))
    np.testing.assert_allclose(plain.scores(x), bent.scores(x), atol=1e-9)
    assert plain.agreement == bent.agreement


def test_descriptors_have_one_length_and_are_finite(space: Space):
    rng = np.random.default_rng(0)
    vectors = np.array([descriptor(space.plan(space.sample(rng))) for _ in range(50)])
    assert vectors.shape == (50, 22)
    assert np.isfinite(vectors).all()
    assert len({tuple(vector) for vector in vectors.tolist()}) > 40


def told(space: Space, count: int, **settings) -> Screened:
    """Results whose first value the levels decide, and whose second is declared."""
    rng = np.random.default_rng(0)
    algorithm = Screened(space, objectives=2, initial=0, **settings)
    for number in range(count):
        genome = space.sample(rng)
        algorithm.tell([Result(number, genome, values_of(space, genome))], [])
    return algorithm


def values_of(space: Space, genome) -> tuple[float, float]:
    plan = space.plan(genome)
    return float(descriptor(plan)[:9] @ np.arange(9)) ** 3, float(plan.nfe)


def test_it_finds_out_what_plans_declare_and_models_the_rest(space: Space):
    algorithm = told(space, 60)
    assert algorithm._measured == [0]
    assert not algorithm._models[1].ready
    assert algorithm.pays


def test_without_agreement_it_is_the_algorithm_that_it_screens(space: Space):
    rngs = [np.random.default_rng(5) for _ in range(2)]
    off = told(space, 60, agreement=1.0)
    assert not off.pays
    plain = super(Screened, off).ask(rngs[0], [])
    assert off.ask(rngs[1], []) == plain


def test_screened_children_are_better_than_others_of_their_cost(space: Space):
    found = {}
    for screen, rounds in ((1, 1), (8, 3)):
        algorithm = told(space, 80, screen=screen, rounds=rounds, blind=0.0, fresh=0.0)
        asked = [algorithm.ask(np.random.default_rng(k), []) for k in range(30)]
        found[screen] = [values_of(space, genome) for genome in asked]
    # The first child decides what a proposal may cost, whatever comes after it.
    assert all(few[1] <= one[1] for one, few in zip(found[1], found[8], strict=True))
    better = [few[0] < one[0] for one, few in zip(found[1], found[8], strict=True)]
    assert np.mean(better) > 0.7


def test_what_is_known_is_not_proposed_again(space: Space):
    algorithm = told(space, 60, blind=0.0)
    first = algorithm.ask(np.random.default_rng(3), [])
    again = algorithm.ask(np.random.default_rng(3), [Proposal(first)])
    assert space.plan(again).identity != space.plan(first).identity


def test_shares_outside_0_to_1_are_refused(space: Space):
    with pytest.raises(UserError, match=r"algorithm\.agreement"):
        Screened(space, objectives=2, agreement=2.0)
