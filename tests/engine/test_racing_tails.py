"""Races on skewed, heavy-tailed and mixed measurements; the long simulation is in the docs."""

import numpy as np
import pytest
from scipy.stats import beta, t

from autosearch.engine.paired_bound import Tail, hidden_shift, surely_worse, tail_weight
from autosearch.experiments.benchmarks.racing import CASES, Case, saved, wrong_stops

# At most 6.5% of 1,000 races, by the lower end of an interval of those that are run.
MOST = 0.065


def certainly_at_most(share: float, races: int) -> bool:
    return not share or beta.ppf(0.05, share * races, races * (1 - share) + 1) <= MOST


@pytest.mark.parametrize(
    "case",
    [
        Case("normal", "lognormal(1.5)"),
        Case("normal", "1% at 100"),
        Case("none", "mixed"),
        Case("none", "exponential", rungs=(100, 400), multiple=10),
        Case("normal", "t(2.5)", count=3, objectives=2),
        Case("normal", "1% at 100", count=3, rungs=(400, 1200, 4000), multiple=0),
        Case("normal", "lognormal(1.5)", multiple=0, blocks=10),
    ],
    ids=lambda case: f"{case.candidate}, {case.count} {case.rivals}, {case.unit}",
)
def test_tails_stop_no_candidate_that_is_as_good(case: Case) -> None:
    assert certainly_at_most(wrong_stops(case, races=30)["now"], 30)


@pytest.mark.soak
@pytest.mark.parametrize("case", [case for case in CASES if case.measure == "mean"])
def test_tails_stop_no_candidate_that_is_as_good_in_many_races(case: Case) -> None:
    assert certainly_at_most(wrong_stops(case, races=300, seed=1)["now"], 300)


def test_what_a_t_interval_stops_wrongly_is_not() -> None:
    found = wrong_stops(Case("normal", "1% at 100"), races=20)
    assert found["t interval"] > 0.8
    assert found["now"] < 0.1


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_light_tails_save_as_before(spread: float) -> None:
    found = saved(Case("normal", "normal", count=20), spread, races=40)
    assert found["now"] >= 0.8 * found["t interval"] > 0.2


def test_without_tails_it_is_a_t_interval() -> None:
    """Of symmetric differences, by the closed form."""
    none = Tail(weight=1.0, shift=0.0)
    rival = np.zeros(20)
    own = np.tile([-1.0, 1.0], 10)
    error = own.std(ddof=1) / np.sqrt(20)
    limit = error * t.ppf(0.99, 19)
    rest = {"tail": none, "level": 0.01}
    assert surely_worse(limit * 1.001, own + limit * 1.001, rival, **rest)
    assert not surely_worse(limit * 0.999, own + limit * 0.999, rival, **rest)
    with pytest.raises(ValueError, match="20 blocks against 10"):
        surely_worse(1.0, own, rival[:10], **rest)
    # With few blocks nothing is sure; without any the values are exact.
    assert not surely_worse(9.0, own[:8] + 9, rival[:8], **rest)
    assert surely_worse(1e-9, own[:0], rival[:0], **rest)


def test_a_skewness_that_speaks_against_it_widens_it() -> None:
    rng = np.random.default_rng(0)
    skewed = rng.exponential(size=20)
    skewed -= skewed.mean()
    none = Tail(weight=1.0, shift=0.0)

    def least(blocks: np.ndarray) -> float:
        steps = np.linspace(0, 3, 3001)
        sure = [surely_worse(d, blocks + d, np.zeros(20), tail=none, level=0.01) for d in steps]
        return float(steps[int(np.argmax(sure))])

    assert least(-skewed) > 1.1 * least(skewed)


def test_tail_weights_of_known_distributions() -> None:
    rng = np.random.default_rng(1)
    normal = [tail_weight(x, x) for x in rng.normal(size=(400, 40))]
    assert np.mean(normal) == pytest.approx(1.0, abs=0.12)
    outliers = rng.normal(size=(400, 40))
    outliers[:, 0] += 30
    # An outlier in forty blocks has a variance of 30^2 / 40 times the others'.
    assert np.mean([tail_weight(x, x) for x in outliers]) == pytest.approx(23.5, rel=0.15)
    assert np.mean([tail_weight(x[1:], x) for x in outliers]) > 20
    assert tail_weight(np.full(20, 3.0), np.full(40, 3.0)) == pytest.approx(1.0)
    assert tail_weight(np.zeros(20), np.array([*np.zeros(39), 9.0])) == 100


def test_more_evidence_leaves_less_hidden() -> None:
    shifts = [hidden_shift(1.0, blocks) for blocks in (20, 100, 400, 4000)]
    assert shifts == sorted(shifts, reverse=True)
    assert shifts[-1] <= 0.04
    assert hidden_shift(1.5, 4000) > 1


def test_of_two_without_spread_neither_is_worse() -> None:
    """What happens rarely, and has happened to neither, may happen to the rival."""
    own, rival = np.full(20, 1.0), np.zeros(20)
    assert not surely_worse(1.0, own, rival, tail=Tail(1.0, 0.0), level=0.05)
