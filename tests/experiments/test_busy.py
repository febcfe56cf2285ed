"""The simulated workers behind the benchmark of busy shares."""

import pytest

from autosearch.experiments.benchmarks import busy
from autosearch.experiments.benchmarks.engine import grown


def test_workers_are_kept_busy_in_the_default_order() -> None:
    found = busy.simulated(workers=32, shortest=1.0, candidates=320, clock=lambda: 0.0)
    assert found["lag"] == 96
    assert 0.95 <= found["busy"] <= 1.0


@pytest.mark.soak
@pytest.mark.parametrize(("lag", "least", "most"), [("auto", 0.95, 1.0), (256, 0.3, 0.6)])
def test_many_workers_are_kept_busy_by_a_lag_of_three_each(lag, least, most) -> None:
    # One each leaves half of them waiting for the longest of the last 256.
    found = busy.simulated(workers=256, shortest=1.0, candidates=5_000, clock=lambda: 0.0, lag=lag)
    assert least <= found["busy"] <= most
    assert found["lag"] <= 3 * 256


def test_the_engines_own_time_counts() -> None:
    found = busy.simulated(workers=8, shortest=1.0, candidates=120)
    assert found["engine_ms"] > 0


def test_workers_with_nothing_to_do_count_as_idle() -> None:
    # Evaluations so short that the engine cannot keep up.
    assert busy.simulated(workers=64, shortest=1e-4, candidates=200)["busy"] < 0.7


def test_the_engine_is_timed_at_each_size() -> None:
    found = grown("random", (20, 60))
    assert set(found) == {"20", "60", "opening"}
    assert all(0 < found[size]["cpu_ms"] < 100 for size in ("20", "60"))
    assert found["opening"]["cpu_s"] == pytest.approx(0.1, abs=0.5)
