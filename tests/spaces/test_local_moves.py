"""Moves that keep what a recipe is: times together, one choice at a time, steps more or less."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.baselines import baseline
from autosearch.spaces import Genome, Space

KINDS = ["linear", "cosine", "edm", "flow", "flow-noise"]


def places(space: Space, genome: Genome) -> np.ndarray:
    """Where times stand on the axis of half log-SNR, from 0 to 1."""
    family = next(one for one in space.families if one.owns_length)
    return np.array([family._place(step["time"]) for step in genome["steps"]])


def choices(genome: Genome) -> list[dict[str, Any]]:
    return [{k: v for k, v in s.items() if k not in ("time", "log_snr")} for s in genome["steps"]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_genome_at_its_own_coordinates_stays_where_it_is(spaces, kind: str) -> None:
    space, rng = spaces(kind), np.random.default_rng(0)
    for _ in range(40):
        genome = space.sample(rng)
        again = space.moved(genome, space.coordinates(genome))
        assert choices(again) == choices(genome)
        assert np.abs(places(space, again) - places(space, genome)).max() < 0.01


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(KINDS)), st.floats(0.0, 20.0))
def test_any_coordinates_are_a_recipe_with_the_same_choices(spaces, seed, kind, radius) -> None:
    space, rng = spaces(kind), np.random.default_rng(seed)
    genome = space.sample(rng)
    before = [dict(step) for step in genome["steps"]]
    where = space.coordinates(genome)
    assert len(where) == len(genome["steps"])
    moved = space.moved(genome, where + radius * rng.standard_normal(len(where)))
    assert choices(moved) == choices(genome)
    assert space.repair(moved) == moved
    assert space.plan(moved).nfe == space.plan(genome).nfe
    assert genome["steps"] == before


def test_a_small_change_of_the_coordinates_moves_all_times_a_little(spaces) -> None:
    space = spaces("linear", steps=(1, 10))
    genome = space.encode(baseline("dpmpp_2m-logsnr@6", space.denoiser))
    assert genome is not None
    where = space.coordinates(genome)
    moved = space.moved(genome, where + 0.05)
    change = places(space, moved) - places(space, genome)
    # All gaps but the last grow by a twentieth, so that the last time moves least of all but it.
    assert (change > 0).all()
    assert change.max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_one_choice_is_drawn_anew_and_times_stay(spaces, kind: str) -> None:
    space, rng = spaces(kind), np.random.default_rng(1)
    different = 0
    for _ in range(20):
        genome = space.sample(rng)
        child = space.varied(genome, rng)
        assert [s["time"] for s in child["steps"]] == [s["time"] for s in genome["steps"]]
        changed = {
            key
            for a, b in zip(choices(child), choices(genome), strict=True)
            for key in set(a) | set(b)
            if a.get(key) != b.get(key)
        }
        # Some choices exclude others, which a repair then drops.
        assert len(changed) <= 3
        different += bool(changed)
    assert different > 15
    plain = spaces(kind, "timesteps")
    genome = plain.sample(rng)
    assert plain.varied(genome, rng) == genome


@pytest.mark.parametrize("count", [1, 3, 6, 7, 10])
def test_steps_more_or_less_stand_on_the_same_curve(spaces, count: int) -> None:
    space = spaces("linear", steps=(1, 10))
    genome = space.encode(baseline("dpmpp_2m-logsnr@6", space.denoiser))
    assert genome is not None
    child = space.resized(genome, count)
    assert len(child["steps"]) == count
    curve = [0.0, *places(space, genome), 1.0]
    spots = np.linspace(0, 7, count + 2)[1:-1]
    expected = np.interp(spots, np.arange(8), curve)
    assert np.abs(places(space, child) - expected).max() < 0.01
    assert {step.get("order", 1) for step in child["steps"]} <= {1, 2}
    # Where nobody owns the number of steps, it stays.
    solver = spaces("linear", "solver")
    assert len(solver.resized(solver.origin(), 4)["steps"]) == 10
