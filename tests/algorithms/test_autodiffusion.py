"""AutoDiffusion's generations."""

from typing import Any

import numpy as np
import pytest

from autosearch.algorithms.autodiffusion import AutoDiffusion
from autosearch.algorithms.base import Proposal, Result
from autosearch.baselines import baseline
from autosearch.errors import UserError
from autosearch.models.mixture import MixtureModel
from autosearch.spaces import Cache, SolverChoice, Space, Timesteps

STEPS = 5
TARGET = np.array([900.0, 500.0, 300.0, 120.0, 20.0])


@pytest.fixture(scope="module")
def fixed() -> Space:
    denoiser = MixtureModel.load(dimension=2).denoiser
    families = [Timesteps(denoiser, steps=(STEPS, STEPS)), SolverChoice(denoiser)]
    return Space(denoiser, families, baseline("ddim@5", denoiser))


def times(genome: dict[str, Any]) -> list[float]:
    return [step["time"] for step in genome["steps"]]


def others(genome: dict[str, Any]) -> str:
    return str([{k: v for k, v in step.items() if k != "time"} for step in genome["steps"]])


def score(genome: dict[str, Any]) -> float:
    found = np.array(times(genome))
    places = np.linspace(0, 1, len(found))
    return float(np.abs(found - np.interp(places, np.linspace(0, 1, STEPS), TARGET)).sum())


def searched(
    algorithm: AutoDiffusion, baselines: int = 0, most: int = 10_000
) -> list[dict[str, Any]]:
    """All proposals until it ends, one at a time; baselines are told before."""
    genomes = [algorithm.space.sample(np.random.default_rng([9, k])) for k in range(baselines)]
    for k, genome in enumerate(genomes):
        pending = [Proposal(other) for other in genomes[k + 1 :]]
        algorithm.tell([Result(k, genome, (score(genome),))], pending)
    asked: list[dict[str, Any]] = []
    while len(asked) < most:
        k = baselines + len(asked)
        found = algorithm.ask(np.random.default_rng([6, k]), [])
        if found is None:
            break
        asked.append(found)
        algorithm.tell([Result(k, found, (score(found), 0.0))], [])
    return asked


def small(space: Space, **settings: Any) -> AutoDiffusion:
    chosen = {"population": 12, "parents": 3, "mutants": 6, "crossovers": 2, **settings}
    return AutoDiffusion(space, objectives=1, **chosen)


def test_the_defaults_are_the_published_constants(fixed):
    algorithm = AutoDiffusion(fixed, objectives=2)
    assert (algorithm.population, algorithm.parents) == (50, 10)
    assert (algorithm.mutants, algorithm.crossovers) == (25, 10)
    assert (algorithm.mutation, algorithm.initial_mutation) == (0.1, 0.1)
    assert (algorithm.generations, algorithm.timesteps_only_generations) == (10, 5)
    assert algorithm.cumulative_parents


@pytest.mark.parametrize("baselines", [0, 1, 9])
def test_it_ends_after_its_generations(fixed, baselines):
    asked = searched(small(fixed, generations=3), baselines)
    # Without baselines an even schedule stands for them.
    assert len(asked) == (baselines == 0) + 11 + 12 + 12
    identities = {fixed.plan(genome).identity for genome in asked}
    assert len(identities) == len(asked)


def test_the_baselines_are_waited_for(fixed):
    algorithm = small(fixed)
    genomes = [Proposal(fixed.sample(np.random.default_rng(k))) for k in range(3)]
    assert algorithm.ask(np.random.default_rng(0), genomes) is None
    for k in range(3):
        told = Result(k, genomes[k].genome, (1.0,))
        algorithm.tell([told], genomes[k + 1 :])
    assert algorithm.ask(np.random.default_rng(0), []) is not None


def test_the_first_generation_is_half_random_half_mutants_of_the_baselines(fixed):
    algorithm = small(fixed, population=40, parents=2)
    baselines = [fixed.sample(np.random.default_rng([9, k])) for k in range(2)]
    known = [set(times(genome)) for genome in baselines]
    asked = searched(algorithm, baselines=2, most=39)
    related = [max(len(own & set(times(genome))) for own in known) for genome in asked]
    assert max(related[:20]) <= 1
    # A mutant that is given up is random.
    assert sorted(related[20:])[2] >= STEPS - 2


def test_later_generations_are_mutants_crossovers_and_random_ones(fixed):
    algorithm = small(fixed, mutation=0.2)
    asked = searched(algorithm, baselines=1, most=11)
    parents = sorted([fixed.sample(np.random.default_rng([9, 0])), *asked], key=score)[:3]
    assert [genome for *_, genome in algorithm._parents.members] == parents
    known = [set(times(genome)) for genome in parents]
    for place, genome in enumerate(searched_on(algorithm, 12, 12)):
        own = set(times(genome))
        if place < 6:
            assert max(len(own & parent) for parent in known) >= 2
        elif place < 8:
            assert len(own & set.union(*known)) >= STEPS - 1
        else:
            assert len(own & set.union(*known)) <= 2


def searched_on(algorithm: AutoDiffusion, first: int, count: int) -> list[dict[str, Any]]:
    """Goes on with a search that has told ``first`` results."""
    asked = []
    for k in range(first, first + count):
        found = algorithm.ask(np.random.default_rng([7, k]), [])
        assert found is not None
        asked.append(found)
        algorithm.tell([Result(k, found, (score(found),))], [])
    return asked


@pytest.mark.parametrize("cumulative", [True, False])
def test_parents_are_the_best_of_all_or_of_the_last_generation(fixed, cumulative):
    algorithm = small(fixed, cumulative_parents=cumulative, generations=4)
    asked = searched(algorithm)
    pool = asked if cumulative else asked[-12:]
    best = sorted(pool, key=score)[:3]
    assert [genome for *_, genome in algorithm._parents.members] == best


def test_before_the_joint_generations_only_times_change(fixed):
    algorithm = small(fixed, generations=5, timesteps_only_generations=3)
    asked = searched(algorithm)
    first = 1 + 11 + 12 + 12
    assert len({others(genome) for genome in asked[:first]}) == 1
    assert len({others(genome) for genome in asked[first:]}) > 5
    from_the_start = searched(small(fixed, generations=2, timesteps_only_generations=0), most=12)
    assert len({others(genome) for genome in from_the_start[1:]}) > 5


def test_it_gives_up_and_draws_at_random_when_nothing_new_is_found(fixed):
    """Without mutation every mutant is its parent."""
    algorithm = small(fixed, mutation=0.0, initial_mutation=0.0, crossovers=0, mutants=12)
    asked = searched(algorithm, baselines=1, most=30)
    identities = [fixed.plan(genome).identity for genome in asked]
    assert len(set(identities)) == 30


def test_evolution_beats_random_draws_at_equal_evaluations(fixed):
    evolved = min(score(genome) for genome in searched(AutoDiffusion(fixed, objectives=1)))
    draws = [fixed.sample(np.random.default_rng([3, k])) for k in range(500)]
    assert evolved < 0.8 * min(score(genome) for genome in draws)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mutants": 11}, "12 has no room for 11 mutants and 2 crossovers; use at least 13"),
        ({"mutation": 1.2}, "algorithm.mutation: 1.2 is no share; use 0 to 1"),
        ({"parents": 1}, "algorithm.parents: 1 is too small; use at least 2"),
        ({"generations": 0}, "algorithm.generations: 0 is too small; use at least 1"),
    ],
)
def test_impossible_settings_are_refused(fixed, settings, message):
    with pytest.raises(UserError, match=message):
        small(fixed, **settings)


def test_layers_are_skipped_from_the_second_stage_on_under_one_budget(random_dit):
    """The joint search: what skipped blocks save buys further steps."""
    denoiser = random_dit(seed=3)
    families = [
        Timesteps(denoiser, steps=(2, 4)),
        Cache(denoiser, sites="blocks", actions=["skip"], share=(0.0, 0.3)),
    ]
    space = Space(denoiser, families, baseline("ddim@2", denoiser))
    budget = 2.6 * denoiser.macs
    algorithm = small(space, generations=12, timesteps_only_generations=3)
    algorithm.permits = lambda genome: space.plan(genome).macs <= budget
    genomes = searched(algorithm)
    plans = [space.plan(genome) for genome in genomes]
    whole = [plan.macs == len(plan.steps) * denoiser.macs for plan in plans]
    times_alone = 1 + 11 + 12 + 12
    assert all(whole[:times_alone])
    assert not all(whole[times_alone:])
    within = [plan for plan in plans[times_alone:] if plan.macs <= budget]
    assert any(len(plan.steps) > 2 for plan in within)
