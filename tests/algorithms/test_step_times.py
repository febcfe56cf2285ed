"""Steps as genes."""

from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.step_times import StepTimes
from autosearch.baselines import baseline
from autosearch.diffusion.schedules import EDM, RectifiedFlow, VariancePreserving
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import SolverChoice, Space, Timesteps

STEPS = 8


@pytest.fixture(scope="module")
def fixed() -> Space:
    """Eight steps, and solvers that vary."""
    denoiser = MixtureModel.load(dimension=2).denoiser
    families = [Timesteps(denoiser, steps=(STEPS, STEPS)), SolverChoice(denoiser)]
    return Space(denoiser, families, baseline("ddim@8", denoiser))


@pytest.fixture(scope="module")
def view(fixed) -> StepTimes:
    return StepTimes(fixed, name="test")


def rng(k: int) -> np.random.Generator:
    return np.random.default_rng([8, k])


def times(genome: dict[str, Any]) -> list[float]:
    return [step["time"] for step in genome["steps"]]


def others(genome: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in step.items() if key not in ("time", "log_snr")}
        for step in genome["steps"]
    ]


def test_new_times_are_whole_training_times(view):
    drawn = [time for k in range(40) for time in times(view.random(rng(k), like=None))]
    assert all(time.is_integer() for time in drawn)
    # Evenly over all of them: half of 320 draws are in either half.
    assert 120 < sum(time < 500 for time in drawn) < 200
    assert min(drawn) >= 0
    assert max(drawn) <= 999


def test_the_even_schedule_has_both_ends_and_nothing_else(view):
    genome = view.uniform(rng(0))
    assert times(genome) == pytest.approx(np.linspace(999, 0, STEPS), abs=1.01)
    assert len({str(other) for other in others(genome)}) == 1


def test_a_random_genome_may_keep_everything_but_the_times(view, fixed):
    for k in range(10):
        like = fixed.sample(rng(k))
        child = view.random(rng(100 + k), like=like)
        assert others(child) == others(like)
        assert times(child) != times(like)


def test_each_time_is_replaced_with_its_probability(view, fixed):
    parent = view.random(rng(0), like=None)
    assert view.mutate(parent, 0.0, rng(1)) == parent
    kept = [set(times(view.mutate(parent, 0.25, rng(k)))) & set(times(parent)) for k in range(400)]
    assert np.mean([len(same) for same in kept]) == pytest.approx(0.75 * STEPS, abs=0.25)
    for k in range(20):
        child = view.mutate(parent, 1.0, rng(k))
        assert not set(times(child)) & set(times(parent))
        assert others(child) == others(parent)


def test_a_known_log_snr_stays_with_its_time(view, fixed):
    parent = view.random(rng(3), like=None)
    schedule = fixed.denoiser.schedule
    for step in parent["steps"]:
        step["log_snr"] = schedule.log_snr(step["time"]) + 1e-6
    child = view.mutate(parent, 0.5, rng(4))
    known = {step["time"]: step["log_snr"] for step in parent["steps"]}
    assert 0 < sum(step["time"] in known for step in child["steps"]) < STEPS
    for step in child["steps"]:
        assert step.get("log_snr") == known.get(step["time"])


def test_a_crossover_takes_each_position_from_either_parent(view):
    a, b = (view.random(rng(k), like=None) for k in (1, 2))
    shares = []
    for k in range(200):
        child = view.mix(a, b, rng(k), others=False)
        assert others(child) == others(a)
        assert len(child["steps"]) == STEPS
        shares.append(len(set(times(child)) & set(times(a))) / STEPS)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_repeated_times_are_repaired(view):
    a = view.random(rng(1), like=None)
    b = view.mutate(a, 0.0, rng(2))
    b["steps"] = [*b["steps"][1:], {**b["steps"][-1], "time": 0.0}]
    for k in range(50):
        child = view.mix(a, b, rng(k), others=False)
        assert len(set(times(child))) == STEPS
        assert view.space.repair(child) == child


def test_whole_steps_are_mixed_when_everything_may_change(view):
    a, b = (view.random(rng(k), like=None) for k in (5, 6))
    seen = {str(others(view.mix(a, b, rng(k), others=True))) for k in range(60)}
    assert len(seen) > 10


@pytest.mark.parametrize("joint", [False, True])
def test_parents_of_different_lengths_are_left_to_the_space(space, joint):
    view = StepTimes(space, name="test")
    a, b = (view.random(rng(k), like=None) for k in (1, 4))
    assert len(a["steps"]) != len(b["steps"])
    for k in range(30):
        child = view.mix(a, b, rng(k), others=joint)
        assert space.repair(child) == child
        if not joint:
            foreign = others(a)
            assert others(child)[: len(foreign)] == foreign[: len(child["steps"])]


def test_only_the_other_families_mutate(view, fixed):
    parent = fixed.sample(rng(0))
    children = [view.mutate_others(parent, rng(k)) for k in range(100)]
    # A solver may begin with an analytic step, in the place of another one.
    kept = [len(set(times(child)) & set(times(parent))) for child in children]
    assert min(kept) >= STEPS - 1
    assert kept.count(STEPS) > 80
    changed = np.mean([others(child) != others(parent) for child in children])
    # By the odds of the solver family, less the draws that hit the same value.
    assert 0.2 < changed <= 0.65


def test_training_times_of_continuous_models():
    from autosearch.algorithms.step_times import _training_times

    whole = _training_times(VariancePreserving("linear"))
    assert whole.tolist() == list(range(1000))
    flow = _training_times(RectifiedFlow())
    assert np.diff(flow) == pytest.approx(np.full(999, 0.001))
    edm = _training_times(EDM())
    assert np.diff(np.log(edm)) == pytest.approx(np.full(999, np.log(80 / 0.002) / 999), abs=0.006)


def test_a_space_without_timesteps_is_refused(fixed):
    denoiser = fixed.denoiser
    bare = Space(denoiser, [SolverChoice(denoiser)], baseline("ddim@4", denoiser))
    with pytest.raises(UserError, match="autodiffusion searches timesteps, and the space has none"):
        StepTimes(bare, name="autodiffusion")
