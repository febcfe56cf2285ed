"""Intervals of shares hold near their ends, for few samples and in pairs."""

import json

import numpy as np
import pytest
from scipy import stats

from autosearch.errors import MeasurementFailed
from autosearch.objectives import BUILTIN, ClassAccuracy, Estimate, Objective, compare
from autosearch.objectives.base import half_width
from autosearch.objectives.jackknife import block_count, mean_estimate
from autosearch.objectives.means import MeanObjective
from autosearch.study.events import Evaluated, parse_event

SETS = 1500


def drawn(rng: np.random.Generator, chances: np.ndarray, blocks: int) -> Estimate:
    """The share of samples [N] that come true, each by its own chance; blocks are alike."""
    size = len(chances) // blocks
    means = rng.binomial(1, chances[:size], (blocks, size)).mean(axis=1)
    return Estimate(float(means.mean()), tuple(means.tolist()), len(chances))


def coverage(chances: np.ndarray, multiple: int) -> float:
    rng, truth = np.random.default_rng(0), chances.mean()
    blocks, size = block_count(len(chances), multiple), len(chances)
    each = size // blocks
    if np.ptp(chances) == 0:
        means = rng.binomial(each, truth, (SETS, blocks)) / each
        found = [Estimate(float(row.mean()), tuple(row.tolist()), size) for row in means]
    else:
        found = [drawn(rng, chances, blocks) for _ in range(SETS)]
    ends = [one.interval() for one in found]
    return float(np.mean([low <= truth <= high for low, high in ends]))


@pytest.mark.parametrize("samples", [100, 400, 4000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999, 0.9999, 0.001])
def test_intervals_cover(samples: int, share: float) -> None:
    assert coverage(np.full(samples, share), 10) >= 0.93


def test_balanced_classes_make_it_narrower() -> None:
    sure = np.where(np.arange(400) % 10 < 5, 0.999, 0.001)
    assert coverage(sure, 10) >= 0.93
    rng = np.random.default_rng(1)
    even = half_width(*_with_interval(drawn(rng, np.full(400, 0.5), 40)))
    assert half_width(*_with_interval(drawn(rng, sure, 40))) < even / 3


def _with_interval(estimate: Estimate) -> tuple[float, tuple[float, float]]:
    return estimate.value, estimate.interval()


@pytest.mark.parametrize("samples", [20, 400, 4000])
def test_a_share_of_exactly_nothing_or_all_has_a_width(samples: int) -> None:
    blocks = block_count(samples, 10)
    low, high = mean_estimate(np.ones(samples), blocks, share=True).interval()
    # The textbook's rule of three, two-sided: with so many samples the chance to see none is 1/40.
    assert high == 1.0
    assert low == pytest.approx(0.025 ** (1 / samples))
    low, high = mean_estimate(np.zeros(samples), blocks, share=True).interval()
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / samples)))


def test_of_many_even_blocks_it_is_nearly_the_textbook_s() -> None:
    rng = np.random.default_rng(2)
    values = (rng.random(4000) < 0.8).astype(float)
    found = mean_estimate(values, 40, share=True).interval()
    exact = stats.binomtest(int(values.sum()), 4000).proportion_ci(method="exact")
    assert found[1] - found[0] == pytest.approx(exact.high - exact.low, rel=0.35)
    assert found[0] < values.mean() < found[1]


@pytest.mark.parametrize("wrong", [0, 1, 3, 40, 200, 399, 400])
def test_ends_are_within_the_range_and_hold_the_value(wrong: int) -> None:
    values = (np.arange(400) >= wrong).astype(float)
    for order in (values, np.random.default_rng(0).permutation(values)):
        estimate = mean_estimate(order, 40, share=True)
        low, high = estimate.interval()
        assert 0 <= low <= estimate.value <= high <= 1
        assert high > low
        wider = estimate.interval(0.99)
        assert wider[0] <= low <= high <= wider[1]


@pytest.mark.parametrize("pair", [(0.5, 0.5), (0.99, 0.95), (0.999, 0.999), (0.9999, 0.99)])
@pytest.mark.parametrize("shared", [0.0, 0.95])
def test_paired_differences_cover(pair: tuple[float, float], shared: float) -> None:
    rng, hits = np.random.default_rng(3), []
    limits = stats.norm.ppf(pair)
    for _ in range(200):
        common, own = rng.standard_normal((2, 400))
        other = shared * common + np.sqrt(1 - shared**2) * own
        a, b = (
            mean_estimate((z < limit).astype(float), 40, share=True)
            for z, limit in zip((common, other), limits, strict=True)
        )
        _, (low, high) = compare(a, b)
        hits.append(low <= pair[0] - pair[1] <= high)
    assert np.mean(hits) >= 0.92


def test_pairing_still_uses_what_two_shares_have_in_common() -> None:
    rng = np.random.default_rng(4)
    right = rng.random(400) < 0.8
    other = right ^ (rng.random(400) < 0.01)
    a, b = (mean_estimate(x.astype(float), 40, share=True) for x in (right, other))
    _, (low, high) = compare(a, b)
    assert high - low < 0.6 * (a.interval()[1] - a.interval()[0])
    assert compare(b, a)[1] == pytest.approx((-high, -low))


def test_all_shares_among_the_objectives_say_so() -> None:
    assert {kind.name for kind in BUILTIN if kind.share} == {
        "precision",
        "recall",
        "class_accuracy",
    }


def test_an_objective_of_others_declares_it_in_one_word(tools_measure) -> None:
    class Sharp(MeanObjective):
        name = "sharp"
        summary = "share of sharp samples"
        direction = "maximize"
        needs = frozenset({"final"})
        share = True

        def estimate(self, rows, reference, blocks):
            kept = np.ones(len(rows["final"]))
            return Estimate(float(kept.mean()), tuple(kept.reshape(blocks, -1).mean(axis=1)))

    found = tools_measure(Sharp(), 400)
    assert found.trials == 400
    assert found.interval()[0] == pytest.approx(0.025 ** (1 / 400))


def test_what_is_no_share_is_refused(tools_measure) -> None:
    class Wrong(Objective):
        name = "wrong"
        needs = frozenset({"final"})
        share = True

        def estimate(self, rows, reference, blocks):
            return Estimate(1.5, (1.5,) * blocks)

    with pytest.raises(MeasurementFailed, match=r"'wrong' returned 1.5 where a share"):
        tools_measure(Wrong(), 400)


@pytest.fixture
def tools_measure():
    from autosearch.baselines import baseline
    from autosearch.diffusion.plan import compile_recipe
    from autosearch.engine.measure import Measure
    from autosearch.models.mixture import MixtureModel

    model = MixtureModel.load()
    plan = compile_recipe(baseline("ddim@2", model.denoiser), model.denoiser)

    def measured(objective: Objective, samples: int) -> Estimate:
        rows = {"final": np.zeros((samples, 3))}
        measure = Measure(model, [objective])
        return measure.estimates(plan, rows, samples=samples)[objective.name]

    return measured


def test_a_journal_keeps_it() -> None:
    share = ClassAccuracy().estimate(
        {"logits": np.eye(4)[np.arange(200) % 4], "labels": np.arange(200) % 4}, {}, 20
    )
    event = Evaluated(
        id=0,
        status="ok",
        reason=None,
        values={"class_accuracy": share, "fid": Estimate(1.0, (1.0, 2.0))},
        samples=200,
        forward_equivalents=1.0,
        seconds=1.0,
    )
    record = json.loads(json.dumps(event.to_record()))
    assert "trials" not in record["values"]["fid"]
    assert parse_event(record) == event
    assert parse_event(record).values["class_accuracy"].interval() == share.interval()
