"""Spaces of what steps leave out: caches, forecasts, gates and pruning."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autosearch.algorithms.greedy import Greedy
from autosearch.baselines import baseline
from autosearch.diffusion.denoiser import Denoiser
from autosearch.diffusion.plan import compile_recipe
from autosearch.errors import UserError
from autosearch.models.bundled import DigitsModel
from autosearch.spaces import (
    Cache,
    CacheInterval,
    Family,
    Forecast,
    GateChoice,
    Genome,
    Prune,
    Space,
    Timesteps,
)
from autosearch.spaces.site_masks import cut_points

COUNT = 12
Rng = np.random.Generator

FAMILIES: dict[str, Callable[[Denoiser], Family]] = {
    "cache": Cache,
    "cache blocks": lambda d: Cache(d, sites="blocks", actions=["reuse", "skip", "forecast:1"]),
    "cache whole": lambda d: Cache(d, whole=1.0, share=[0.1, 0.9]),
    "cache ranges": lambda d: Cache(
        d, sites=["block.0..block.3", "block.4..block.7", "block.5"], actions=["reuse", "output:1"]
    ),
    "cache mixed": lambda d: Cache(
        d, sites=["block.2..block.7", "block.0..block.5", "parts", "blocks"]
    ),
    "forecast": Forecast,
    "forecast blocks": lambda d: Forecast(d, sites="blocks", orders=[0, 2]),
    "cache-interval": CacheInterval,
    "gate": GateChoice,
    "gate without": lambda d: GateChoice(d, without=0.5, measures=["change"]),
    "prune": Prune,
    "prune parts": lambda d: Prune(d, sites="parts", remove=[2, 6]),
    "prune pattern": lambda d: Prune(d, pattern="2:4"),
    "prune parts pattern": lambda d: Prune(d, sites="parts", pattern="3:4"),
    "prune intervals": lambda d: Prune(d, intervals=2, longest=3),
}


@pytest.fixture(scope="module")
def digits() -> Denoiser:
    return DigitsModel.load().denoiser


def made(digits: Denoiser, *kinds: str, steps: list[int] | None = None) -> Space:
    families: list[Family] = [FAMILIES[kind](digits) for kind in kinds]
    if steps is not None:
        families.append(Timesteps(digits, steps=steps))
    return Space(digits, families, baseline(f"dpmpp_2m@{COUNT}", digits))


def check_inside(space: Space, genome: Genome) -> None:
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    recipe = space.decode(genome)
    assert space.plan(genome) == compile_recipe(recipe, space.denoiser)
    assert "genes" not in recipe.to_dict()


def walk(space: Space, rng: Rng, length: int) -> list[Genome]:
    found = [space.sample(rng) for _ in range(2)]
    while len(found) < length:
        a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
        before = json.dumps([a, b])
        child = space.mutate(a, rng) if rng.random() < 0.5 else space.crossover(a, b, rng)
        assert json.dumps([a, b]) == before
        found.append(child)
    return found


ENCODED = {
    "cache": ["", "+fora:2", "+fora:5"],
    "cache blocks": ["", "+delta:2:0.12:1"],
    "cache mixed": ["", "+fora:3", "+delta:2:0.75:1"],
    "forecast": ["", "+fora:3", "+taylorseer", "+taylorseer:3:2:4"],
    "cache-interval": ["", "+fora:3", "+taylorseer", "+taylorseer:2:4:5", "+delta", "+delta:3:0.5"],
    "gate": ["", "+cgtaylor", "+fbc", "+fbc:0.3", "+dbcache:0.1:3:4", "+cgtaylor:0.5:2:2:5"],
    "prune": ["", "+bksdm", "+drop:3:5:6"],
    "prune pattern": ["+bksdm", "+drop:0:1:6:7"],
    "prune intervals": ["", "+drop:1:2:6"],
}


@pytest.mark.parametrize("kind", list(ENCODED))
def test_the_baselines_that_a_space_contains_are_encoded_exactly(
    kind: str, digits: Denoiser
) -> None:
    space = made(digits, kind)
    for policies in ENCODED[kind]:
        recipe = baseline(f"dpmpp_2m{policies}@{COUNT}", digits)
        genome = space.encode(recipe)
        assert genome is not None, policies
        check_inside(space, genome)
        assert space.plan(genome).identity == compile_recipe(recipe, digits).identity


def test_what_a_space_lacks_is_not_encoded(digits: Denoiser) -> None:
    for kind, policies in [
        ("cache", "+taylorseer"),
        ("cache", "+fbc"),
        ("cache", "+bksdm"),
        ("forecast", "+delta"),
        ("cache-interval", "+fora:3+bksdm"),
        ("prune", "+fora:3"),
        ("prune pattern", ""),
        ("prune intervals", "+bksdm"),
        ("gate", "+fora:3"),
    ]:
        assert made(digits, kind).encode(baseline(f"dpmpp_2m{policies}@{COUNT}", digits)) is None


def test_boxes(digits: Denoiser) -> None:
    names = {kind: [p.name for p in FAMILIES[kind](digits).box()] for kind in FAMILIES}
    assert names["cache"] == names["forecast"] == []
    assert names["cache-interval"] == [
        "interval",
        "order",
        "warmup",
        "cached",
        "boundary",
        "whole",
    ]
    assert names["gate"][0] == "log_threshold"
    assert names["prune"] == [f"block.{i}" for i in range(8)]
    assert names["prune pattern"] == ["group0", "group1"]
    choices = FAMILIES["prune pattern"](digits).box()[0].choices
    assert sorted(choices) == ["0011", "0101", "0110", "1001", "1010", "1100"]
    assert names["prune intervals"] == ["start0", "length0", "start1", "length1"]
    assert names["prune parts pattern"] == [f"group{i}" for i in range(4)]


# -- caches ---------------------------------------------------------------------------------------


def bits(genome: Genome, sites: tuple[str, ...]) -> np.ndarray:
    return np.array([[s in step.get("sites", {}) for s in sites] for step in genome["steps"]])


def test_random_masks_are_drawn_bit_by_bit_and_the_first_step_computes(digits: Denoiser) -> None:
    space = made(digits, "cache")
    rng = np.random.default_rng(0)
    family = space.families[0]
    assert isinstance(family, Cache)
    drawn = np.stack([bits(space.sample(rng), family.sites) for _ in range(60)])
    assert not drawn[:, 0].any()
    assert drawn[:, 1:].mean() == pytest.approx(0.5, abs=0.02)
    assert np.abs(drawn[:, 1:].mean(axis=0) - 0.5).max() < 0.25


def test_a_mutation_flips_about_so_many_bits(digits: Denoiser) -> None:
    for rate, expected in [(None, 1.0), (0.1, 0.1 * 11 * 16)]:
        family = Cache(digits, rate=rate)
        space = Space(digits, [family], baseline(f"ddim@{COUNT}", digits))
        rng = np.random.default_rng(0)
        parent = space.sample(rng)
        flips = []
        for _ in range(300):
            child = {**parent, "steps": [dict(step) for step in parent["steps"]]}
            family.mutate(child, rng)
            flips.append((bits(child, family.sites) != bits(parent, family.sites)).sum())
        # The first step's bits are flipped in vain.
        assert np.mean(flips) == pytest.approx(
            expected * 11 / 12 if rate is None else expected, rel=0.2
        )


def test_crossover_takes_runs_of_the_flattened_mask(digits: Denoiser) -> None:
    space = made(digits, "cache")
    family = space.families[0]
    assert isinstance(family, Cache)
    ones = {**space.sample(np.random.default_rng(0))}
    ones["steps"] = [
        {**step, "sites": dict.fromkeys(family.sites, "reuse") if i else {}}
        for i, step in enumerate(ones["steps"])
    ]
    ones = space.repair(ones)
    none = {**ones, "steps": [{**step, "sites": {}} for step in ones["steps"]]}
    child = space.crossover(space.repair(none), ones, np.random.default_rng(3))
    flat = bits(child, family.sites).ravel().astype(int)
    assert 1 <= np.abs(np.diff(flat)).sum() <= 4


@given(length=st.integers(1, 60), points=st.integers(1, 8), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_cut_points(length: int, points: int, seed: int) -> None:
    taken = cut_points(length, points, np.random.default_rng(seed))
    assert len(taken) == length
    assert not taken[0]
    assert np.abs(np.diff(taken.astype(int))).sum() == min(points, length - 1)


def test_masks_stay_with_their_steps_when_the_number_of_steps_changes(digits: Denoiser) -> None:
    space = made(digits, "cache", steps=[4, 12])
    rng = np.random.default_rng(0)
    parent = space.sample(rng)
    while len(parent["steps"]) < 8:
        parent = space.sample(rng)
    times = next(f for f in space.families if isinstance(f, Timesteps))
    known = {step["time"]: step.get("sites") for step in parent["steps"][1:]}
    for _ in range(30):
        child = json.loads(json.dumps(parent))
        times.mutate(child, rng)
        for step in space.repair(child)["steps"][1:]:
            if step["time"] in known:
                assert step.get("sites") == known[step["time"]]


# -- pruning --------------------------------------------------------------------------------------


def test_pruning_and_caches_multiply(digits: Denoiser) -> None:
    space = made(digits, "cache", "prune", steps=[5, 8])
    rng = np.random.default_rng(0)
    seen: set[str] = set()
    for genome in walk(space, rng, 60):
        check_inside(space, genome)
        pruned = set(genome.get("pruned", []))
        seen |= pruned
        for step in space.plan(genome).steps:
            actions: Mapping[str, Any] = step.branches[0].actions
            assert {name for name, a in actions.items() if a.kind == "skip"} == pruned
            assert not any(name.rpartition(".")[0] in pruned for name in actions)
    assert len(seen) == 8
    both = baseline(f"dpmpp_2m+bksdm+fora:2@{COUNT}", digits)
    genome = made(digits, "cache", "prune").encode(both)
    assert genome is not None
    assert space.plan(genome) == compile_recipe(both, digits)
    assert genome["pruned"] == both.pruned


def test_patterns_keep_so_many_of_each_group(digits: Denoiser) -> None:
    rng = np.random.default_rng(0)
    for genome in walk(made(digits, "prune parts pattern"), rng, 30):
        for kind in ("attn", "mlp"):
            for group in (range(4), range(4, 8)):
                gone = {f"block.{i}.{kind}" for i in group} & set(genome["pruned"])
                assert len(gone) == 1


def test_intervals_are_few_runs(digits: Denoiser) -> None:
    rng = np.random.default_rng(0)
    for genome in walk(made(digits, "prune intervals"), rng, 60):
        gone = "".join("x" if f"block.{i}" in genome.get("pruned", []) else " " for i in range(8))
        assert len(gone.split()) <= 2
        assert all(len(run) <= 3 for run in gone.split())


def test_greedy_prunes(digits: Denoiser) -> None:
    space = made(digits, "prune")
    greedy = Greedy(space, objectives=1, top_k=1, iterations=2)
    rng = np.random.default_rng(0)
    first = greedy.ask(rng, [])
    assert isinstance(first, dict)
    assert first.get("pruned", []) == []


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Cache, {"sites": "part"}, "space.cache.sites: unknown granularity 'part'; did you mean"),
        (Cache, {"sites": ["block.9"]}, "space.cache.sites: unknown site 'block.9'"),
        (Cache, {"sites": []}, "are none of this model's sites"),
        (Cache, {"actions": []}, "space.cache.actions: the list is empty"),
        (Cache, {"actions": ["reus"]}, "space.cache.actions: unknown site action 'reus'"),
        (Cache, {"actions": ["forecast:5"]}, "'forecast:5' asks for 6 features"),
        (Cache, {"points": 0}, "space.cache.points: 0 is outside 1"),
        (Cache, {"rate": 0.7}, "space.cache.rate: 0.7 is outside above 0 to 0.5"),
        (Cache, {"whole": 2.0}, "space.cache.whole: 2 is outside 0 to 1"),
        (Cache, {"share": [0.9, 0.1]}, "space.cache.share: expected [least, most]"),
        (Forecast, {"orders": [5]}, "space.forecast.orders: expected some of 0 to 4, got [5]"),
        (Forecast, {"rate": 0.0}, "space.forecast.rate: 0 is outside above 0 to 1"),
        (
            CacheInterval,
            {"interval": [0, 4]},
            "cache-interval.interval: expected [least, most], two whole",
        ),
        (CacheInterval, {"order": [0, 5]}, "from 0 to 4, got [0, 5]"),
        (GateChoice, {"threshold": [0, 1]}, "space.gate.threshold: expected [least, most], two"),
        (
            GateChoice,
            {"first": [1, 8]},
            "space.gate.first: expected [least, most], two whole",
        ),
        (GateChoice, {"measures": ["change", "chance"]}, "expected some of forecast, change"),
        (GateChoice, {"without": 1.0}, "space.gate.without: 1 is no probability below 1"),
        (Prune, {"pattern": "4:2"}, "space.prune.pattern: '4:2' is no pattern; write N:M"),
        (Prune, {"pattern": "2:3"}, "groups of 3 do not divide 8 sites"),
        (Prune, {"pattern": "2:4", "intervals": 1}, "are two forms; leave one out"),
        (
            Prune,
            {"remove": [0, 9]},
            "space.prune.remove: expected [least, most], two whole",
        ),
        (Prune, {"remove": [1]}, "space.prune.remove: expected [least, most]"),
        (Prune, {"intervals": 0}, "space.prune.intervals: expected at least 1"),
        (Prune, {"longest": 2}, "space.prune.longest: it goes with intervals"),
    ],
)
def test_settings_that_cannot_be(
    kind: type[Family], options: dict[str, Any], message: str, digits: Denoiser
) -> None:
    with pytest.raises(UserError) as caught:
        kind(digits, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [Cache, Forecast, CacheInterval, GateChoice, Prune])
def test_a_model_without_sites_is_refused(kind: type[Family], spaces) -> None:
    with pytest.raises(UserError, match=r"^space\.[a-z-]+(\.sites)?: "):
        kind(spaces("linear").denoiser)


def test_two_families_do_not_decide_the_same(digits: Denoiser) -> None:
    with pytest.raises(UserError, match="space: cache and forecast both decide 'sites'"):
        made(digits, "forecast", "cache")
