"""What every product of families owes: properties on random, changed and damaged genomes."""

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.soaked import soaked

from autosearch.algorithms.unit_box import UnitBox
from autosearch.baselines import SOLVERS, baseline, baseline_names
from autosearch.diffusion.plan import compile_recipe
from autosearch.errors import UserError
from autosearch.spaces import MAX_BOX, Family, Genome, Parameter, Space, Timesteps

NAMES = ["both", "timesteps", "solver"]


def timesteps_of(space: Space) -> Timesteps | None:
    return next((f for f in space.families if isinstance(f, Timesteps)), None)


def kind_of_corrector(step: dict[str, Any]) -> str:
    corrector = step.get("corrector", "none")
    return corrector if isinstance(corrector, str) else corrector["kind"]


def times_of(genome: Genome) -> list[float]:
    return [step["time"] for step in genome["steps"]]


def check_inside(space: Space, genome: Genome) -> None:
    """The genome is plain data, stands as it is, compiles, and keeps what its families promise."""
    assert json.loads(json.dumps(genome)) == genome
    assert space.repair(genome) == genome
    analytic = genome["steps"][0].get("evaluate", "network") != "network"
    again = sum(kind_of_corrector(step) == "implicit" for step in genome["steps"][:-1])
    assert len(genome["steps"]) - analytic <= space.plan(genome).nfe
    assert space.plan(genome).nfe <= len(genome["steps"]) - analytic + again
    assert space.plan(genome) == compile_recipe(space.decode(genome), space.denoiser)
    family = timesteps_of(space)
    if family is not None:
        low, high = family.steps
        assert low <= len(genome["steps"]) <= high
        for a, b in pairwise(times_of(genome)):
            assert a - b >= family.gap * (1 - 1e-9) or unrounded(family, b)


def unrounded(family: Timesteps, time: float) -> bool:
    return round(time, round(-math.log10(family.resolution))) != time


def walk(space: Space, rng: np.random.Generator, length: int) -> list[Genome]:
    """Genomes as a search meets them: sampled, mutated, crossed."""
    found = [space.sample(rng), space.sample(rng)]
    while len(found) < length:
        a, b = (found[int(i)] for i in rng.integers(len(found), size=2))
        kind = int(rng.integers(3))
        found.append((space.sample(rng), space.mutate(a, rng), space.crossover(a, b, rng))[kind])
    return found


# -- baselines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "counts", [(2, 3, 4, 7, 10), pytest.param((5, 6, 8, 9), marks=pytest.mark.soak)]
)
def test_every_baseline_without_noise_round_trips(space, denoiser, counts):
    encoded = 0
    for name in baseline_names(denoiser.schedule):
        for steps in counts:
            try:
                recipe = baseline(f"{name}@{steps}", denoiser)
                plan = compile_recipe(recipe, denoiser)
            except UserError as error:  # no such recipe on this model
                known = ("repeats", "pure noise", "is published for")
                assert any(reason in str(error) for reason in known)  # noqa: PT017
                continue
            genome = space.encode(recipe)
            solver = name.partition("-")[0]
            # EVODiff's form is only there where it is named.
            if SOLVERS[solver].stochastic or solver == "evodiff":
                assert genome is None
                continue
            times = [step.time for step in recipe.steps]
            if len(set(times)) < len(times):
                # Rounded ones, of which the space has no two alike.
                assert genome is None
                continue
            if times[0] > timesteps_of(space).first:
                # Pure noise, which only an analytic first step can start from on this model.
                assert genome is None
                continue
            assert genome is not None, f"{name}@{steps}"
            assert space.plan(genome).identity == plan.identity
            assert space.decode(genome).to_dict()["steps"] == recipe.to_dict()["steps"]
            check_inside(space, genome)
            encoded += 1
    assert encoded >= 5 * len(counts)


def test_baselines_outside_the_space_are_not_encoded(spaces):
    space = spaces("linear", steps=[4, 6])
    for name, inside in [("ddim@3", False), ("ddim@4", True), ("ddim@7", False), ("ddpm@5", False)]:
        assert (space.encode(baseline(name, space.denoiser)) is not None) == inside
    alone = spaces("linear", "timesteps")
    assert alone.encode(baseline("ddim-trailing@5", alone.denoiser)) is not None
    assert alone.encode(baseline("dpmpp_2m@5", alone.denoiser)) is None
    fixed = spaces("linear", "solver")
    for name, inside in [
        ("ddim@10", True),
        ("dpmpp_2m-leading@10", True),
        ("dpmpp_2m@10", False),
        ("ddim@9", False),
    ]:
        assert (fixed.encode(baseline(name, fixed.denoiser)) is not None) == inside


def test_neighbours_of_baselines_stay_inside(space, denoiser):
    rng = np.random.default_rng(3)
    names = [f"{solver}-logsnr@{k}" for solver in ("ddim", "dpmpp_2m", "euler") for k in (2, 10)]
    genomes = [space.encode(baseline(name, denoiser)) for name in names]
    for genome in genomes:
        for _ in range(10):
            child = space.mutate(genome, rng)
            check_inside(space, child)
            check_inside(space, space.crossover(child, space.sample(rng), rng))


# -- operators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("kind", soaked(["linear", "flow", "cosine"], but=2))
def test_mutants_differ_and_random_genomes_are_distinct(spaces, kind, names):
    space = spaces(kind, names)
    rng = np.random.default_rng(1)
    drawn = [space.sample(rng) for _ in range(200)]
    assert len({space.plan(genome).identity for genome in drawn}) >= 160
    changed = 0
    for k in range(1000):
        parent = drawn[k % len(drawn)]
        changed += space.plan(space.mutate(parent, rng)) != space.plan(parent)
    assert changed >= 950


@pytest.mark.parametrize("kind", ["linear", "edm", "flow"])
def test_operators_round_times_to_a_thousandth_of_the_unit(spaces, kind):
    space = spaces(kind, "timesteps")
    family = timesteps_of(space)
    assert family.resolution == pytest.approx(1e-3 * space.denoiser.schedule.unit)
    # From random genomes only: a baseline's own times keep their digits until they are moved.
    for genome in walk(space, np.random.default_rng(4), 100):
        for time in times_of(genome):
            assert not unrounded(family, time)


@pytest.mark.parametrize("kind", ["linear", "edm", "flow"])
def test_a_child_of_timesteps_keeps_a_prefix_or_blends(spaces, kind):
    space = spaces(kind, "timesteps")
    rng = np.random.default_rng(5)
    spliced = 0
    for _ in range(200):
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        mine, theirs, own = times_of(child), times_of(b), times_of(a)
        kept = next((i for i, (x, y) in enumerate(zip(mine, own, strict=False)) if x != y), None)
        cut = len(own) if kept is None else kept
        if cut and all(time in theirs for time in mine[cut:]):
            spliced += 1
        else:
            assert len(mine) == len(own) == len(theirs)
    assert spliced >= 100


def test_a_child_of_solvers_takes_each_step_from_one_parent(spaces):
    space = spaces("linear", "solver")
    rng = np.random.default_rng(6)
    for _ in range(50):
        a, b = space.sample(rng), space.sample(rng)
        child = space.crossover(a, b, rng)
        for step, x, y in zip(child["steps"], a["steps"], b["steps"], strict=True):
            assert step in (x, y)


# -- repair ------------------------------------------------------------------------------------

ANY_TIME = st.one_of(
    st.floats(-2000, 2000), st.sampled_from([0.0, 1.0, 0.5, 80.0, 500.0, 999.0, 999.0, 0.001])
)
DAMAGED_STEP = st.fixed_dictionaries(
    {"time": ANY_TIME},
    optional={
        "log_snr": st.floats(-1000, 1000),
        "order": st.integers(-2, 9),
        "prediction": st.sampled_from(["noise", "data", "both", ""]),
        "form": st.sampled_from(["dpmsolver", "taylor", "deis_t", "unipc_bh1", "magic"]),
        "relaxation": st.sampled_from([{"kind": "linear", "coefficient": 0.1}, {"kind": "odd"}]),
        "start_point": st.integers(-9, 3),
        "points": st.sampled_from([[[-2]], [[-2, -3], [-2, -3]]]),
        "corrector": st.sampled_from(["pseudo", "implicit", "none", "twice"]),
        "evaluate": st.sampled_from(["network", "zero_x0", "average_x0", "guess"]),
        "eta": st.sampled_from([0.0, 0.5, 7.0]),
    },
)
DAMAGED = st.fixed_dictionaries(
    {
        "start": st.sampled_from([{"scale": "unit"}, {"scale": "sigma"}]),
        "steps": st.lists(DAMAGED_STEP, max_size=25),
        "end": st.one_of(st.just("clean"), st.floats(-1000, 1000)),
    }
)


@settings(max_examples=40, deadline=None)
@given(genome=DAMAGED, kind=st.sampled_from(["linear", "cosine", "edm", "flow", "flow-noise"]))
def test_badly_damaged_genomes_are_repaired(spaces, genome, kind):
    space = spaces(kind)
    check_inside(space, space.repair(genome))


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(DAMAGED_STEP, max_size=25), names=st.sampled_from(NAMES))
def test_a_family_alone_repairs_what_is_its_own(spaces, steps, names):
    space = spaces("linear", names, **({} if names == "solver" else {"steps": [3, 3]}))
    good = space.sample(np.random.default_rng(0))
    damaged = [
        {**step, **{k: v for k, v in hurt.items() if k in space_fields(space)}}
        for step, hurt in zip(good["steps"], steps, strict=False)
    ]
    check_inside(space, space.repair({**good, "steps": damaged or good["steps"]}))


def space_fields(space: Space) -> set[str]:
    return {field for family in space.families for field in family.fields}


def test_repair_changes_nothing_that_is_inside(spaces):
    space = spaces("cosine")
    genome = space.encode(baseline("dpmpp_2m-logsnr@10", space.denoiser))
    times = times_of(genome)
    assert min(a - b for a, b in pairwise(times)) < 1  # finer than the gap of operators
    assert times_of(space.repair(genome)) == times


# -- box ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=16),
    kind=st.sampled_from(["linear", "cosine", "edm", "flow", "flow-noise"]),
    names=st.sampled_from(NAMES),
)
def test_every_point_of_the_box_decodes_to_a_recipe_that_compiles(spaces, places, kind, names):
    space = spaces("flow" if names == "solver" else kind, names)
    box = space.box()
    assert len(box) <= MAX_BOX
    assert len({parameter.name for parameter in box}) == len(box)
    point = UnitBox(box).point(np.array(places[: len(box)]))
    genome = space.from_box(point)
    check_inside(space, genome)
    assert space.encode(space.decode(genome)) is not None
    assert space.from_box(point) == genome


def test_points_of_the_box_differ(spaces):
    space = spaces("linear")
    rng = np.random.default_rng(0)
    plans = set()
    for _ in range(100):
        box = UnitBox(space.box())
        point = box.point(rng.random(box.dimension))
        plans.add(space.plan(space.from_box(point)).identity)
    assert len(plans) >= 80


class Boxless(Family):
    """A family for evolution only."""

    name, summary, fields = "boxless", "", ("clip",)

    def randomize(self, genome, rng):
        genome["steps"][0]["clip"] = 1.0

    mutate = randomize

    def repair(self, genome):
        pass

    def encodes(self, genome):
        return True


class Second(Boxless):
    """Another one that wants the number of steps."""

    name, owns_length = "second", True


class Wide(Boxless):
    name = "wide"

    def box(self):
        return [Parameter(f"p{i}", "float") for i in range(MAX_BOX + 1)]


def test_products_that_cannot_be_are_refused(spaces):
    space = spaces("linear", "timesteps")
    base = space.decode(space.sample(np.random.default_rng(0)))
    denoiser = space.denoiser
    with pytest.raises(UserError, match="timesteps and second both decide the number of steps"):
        Space(denoiser, [Timesteps(denoiser), Second(denoiser)], base)
    with pytest.raises(UserError, match=r"space\.boxless has no box; use .* nsga2 or random"):
        Space(denoiser, [Boxless(denoiser)], base).box()
    with pytest.raises(UserError, match=f"at most {MAX_BOX}"):
        Space(denoiser, [Wide(denoiser)], base).box()
    with pytest.raises(UserError, match="pure noise"):
        spaces("flow-noise", "solver")
    with pytest.raises(TypeError, match="boxless has no box"):
        Boxless(denoiser).from_box({}, {})
