"""The made-up error behind the benchmark of what a lag costs."""

import numpy as np
import pytest

from autosearch.diffusion.plan.plan import Plan, StepPlan
from autosearch.experiments.benchmarks.lag import _FIRST, _LAST, _weight, error, least_error, volume
from autosearch.recipe import ModelKey

MODEL = ModelKey(family="vp", schedule="cosine", prediction="noise")


def plan(places):
    steps = tuple(StepPlan(time=float(i), log_snr=p, next_log_snr=p) for i, p in enumerate(places))
    return Plan(model=MODEL, start_scale=1.0, steps=steps, macs=3, full_macs=4, memory=0)


@pytest.mark.parametrize("count", [40, 80])
def test_equal_shares_of_the_error_have_the_least(count):
    fine = np.linspace(_FIRST, _LAST, 20_001)
    reached = np.concatenate([[0.0], np.cumsum(np.cbrt(_weight(fine[:-1])))])
    best = np.interp(np.arange(1, count + 1) / (count + 1) * reached[-1], reached, fine)
    assert error(plan(best)) == pytest.approx(least_error(count), rel=2e-3)
    even = np.linspace(_FIRST, _LAST, count + 2)[1:-1]
    rng = np.random.default_rng(0)
    for worse in (even, np.sort(best + 0.02 * rng.normal(size=count))):
        assert error(plan(worse)) > error(plan(best))


def test_random_search_does_not_see_the_lag():
    volumes = {volume("random", candidates=40, lag=lag, seed=1) for lag in (1, 7, 100)}
    assert len(volumes) == 1
    assert 0 < volumes.pop() < 1
