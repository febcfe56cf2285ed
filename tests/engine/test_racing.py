"""Who is stopped: never wrongly more often than stated, never the best of a cost."""

import numpy as np
import pytest
from scipy.stats import beta

from autosearch.engine.racing import LEVEL, Race
from autosearch.objectives import Estimate, find

RUNGS = (400, 1200, 4000)
BLOCKS = 20


class Sampled:
    """A recipe of known truth, as seen at each rung, whose noise holds that of the one before."""

    def __init__(self, truth: float, nfe: float, shared: np.ndarray, rng: np.random.Generator):
        noise = 0.6 * shared + 0.8 * rungs_of_noise(rng)
        self.estimates = []
        for pseudo in truth + noise:
            fid = Estimate(float(pseudo.mean()), tuple(pseudo.tolist()))
            self.estimates.append({"fid": fid, "nfe": Estimate(nfe)})


def rungs_of_noise(rng: np.random.Generator) -> np.ndarray:
    """[rungs, blocks] means over growing numbers of samples, of variance 1 for 100 of them."""
    more = np.diff([0, *RUNGS])[:, None]
    sums = (rng.normal(size=(len(RUNGS), BLOCKS)) * np.sqrt(more)).cumsum(axis=0)
    return 10 * sums / np.array(RUNGS)[:, None]


def race(level: float = LEVEL) -> Race:
    return Race(RUNGS, [find(name)() for name in ("fid", "nfe")], level=level)


def ended(one: Race, candidate: Sampled, before: int) -> int:
    """The rung at which a candidate ends."""
    return next(
        rung
        for rung, seen in enumerate(candidate.estimates)
        if one.stops(seen, rung, before=before)
    )


def wrong_stops(rivals: int, spread: float, races: int) -> int:
    """Races of a candidate that nothing of no greater cost is better than, and that was stopped."""
    count = 0
    for number in range(races):
        rng = np.random.default_rng([11, rivals, number])
        shared = rungs_of_noise(rng)
        one = race()
        for i in range(rivals):
            # None is better; those that cost more may be, and are no rivals.
            dear = i % 4 == 3
            truth = -1.0 if dear else spread * rng.random()
            found = Sampled(truth, 5 + (dear or i % 3 == 0), shared, rng)
            one.tell(i, found.estimates)
        candidate = Sampled(0.0, 5, shared, rng)
        count += ended(one, candidate, rivals) < len(RUNGS) - 1
    return count


@pytest.mark.parametrize(
    ("rivals", "spread", "races"),
    [
        (4, 0.0, 200),
        pytest.param(40, 0.0, 1000, marks=pytest.mark.soak),
        pytest.param(40, 0.5, 1000, marks=pytest.mark.soak),
    ],
)
def test_wrong_stops_are_no_more_frequent_than_stated(rivals, spread, races):
    count = wrong_stops(rivals, spread, races)
    # The upper end of the two-sided 95% interval by Clopper and Pearson.
    assert beta.ppf(0.975, count + 1, races - count) <= LEVEL


def test_what_is_much_worse_is_stopped_at_once():
    stopped = 0
    for number in range(50):
        rng = np.random.default_rng([12, number])
        shared = rungs_of_noise(rng)
        one = race()
        for i in range(30):
            one.tell(i, Sampled(0.3 * rng.random(), 5, shared, rng).estimates)
        stopped += ended(one, Sampled(2.0, 5, shared, rng), 30) == 0
    assert stopped >= 45


def exact(value: float, nfe: float) -> dict[str, Estimate]:
    return {
        "fid": Estimate(value, tuple(value + 1e-9 * i for i in range(20))),
        "nfe": Estimate(nfe),
    }


def test_only_what_was_told_before_and_costs_no_more_counts():
    one = race()
    for i in range(3):
        one.tell(i, [exact(1.0 + i, 5)] * 3)
    one.tell(3, [exact(0.5, 6)])
    # Two of the cost are kept whatever they are.
    assert not one.stops(exact(9.0, 5), 0, before=1)
    assert one.stops(exact(9.0, 5), 0, before=2)
    assert not one.stops(exact(1.5, 5), 0, before=3)
    # Of a cost of its own nothing is stopped; the dearer one is no rival of the cheaper.
    assert not one.stops(exact(9.0, 4), 0, before=4)
    assert not one.stops(exact(9.0, 7), 0, before=4)
    # At the last rung all ends.
    assert one.stops(exact(0.0, 5), 2, before=0)


def test_values_to_be_maximised_are_turned_round():
    better = Race(RUNGS, [find(name)() for name in ("is", "nfe")])
    for i in range(3):
        better.tell(i, [{"is": exact(8.0 + i, 5)["fid"], "nfe": Estimate(5.0)}] * 3)
    assert better.stops({"is": exact(3.0, 5)["fid"], "nfe": Estimate(5.0)}, 0, before=3)
    assert not better.stops({"is": exact(12.0, 5)["fid"], "nfe": Estimate(5.0)}, 0, before=3)
