"""What steady-state NSGA-II owes beyond the contract."""

import functools

import numpy as np
import pytest

from autosearch.algorithms import NSGA2, Result
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared
from autosearch.engine.problem import Problem
from autosearch.engine.run import drive
from autosearch.engine.workers.evaluator import ModelEvaluator
from autosearch.engine.workers.inprocess import InProcessExecutor
from autosearch.errors import UserError
from autosearch.experiment import experiment_from_dict, load_experiment
from autosearch.study.events import ScaleAxis
from autosearch.study.hypervolume import hypervolume
from autosearch.study.ranking import values_of


def test_the_population_keeps_the_front_and_its_bound(space):
    algorithm = NSGA2(space, objectives=2, population=10)
    rng = np.random.default_rng(0)
    told = []
    for k in range(300):
        genome = space.sample(rng)
        place = rng.random()
        # A front of five points among many that are dominated.
        values = (float(k % 5), float(4 - k % 5)) if k < 5 else (5 + place, 5 - place)
        told.append(values)
        algorithm.tell([Result(k, genome, values)], [])
        assert len(algorithm._alive) <= 10
    alive = {tuple(individual.F.tolist()) for individual in algorithm._alive}
    assert set(told[:5]) <= alive


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 3}, "population: 3 is too small"),
        ({"crossover": 1.5}, "crossover: 1.5 is no share"),
        ({"fresh": -0.1}, "fresh: -0.1 is no share"),
        ({"fresh": float("nan")}, "fresh: nan is no share"),
    ],
)
def test_impossible_settings_are_refused(space, settings, message):
    with pytest.raises(UserError, match=message):
        NSGA2(space, objectives=2, **settings)


def volume(algorithm: str, seed: int) -> float:
    """Hypervolume of 120 candidates of 400 samples on the exact mixture, on fixed axes."""
    experiment = experiment_from_dict(
        {
            "model": "mixture",
            "space": load_experiment("mixture").space,
            "objectives": ["fid", "nfe"],
            "baselines": [],
            "algorithm": algorithm,
            "samples": 400,
            "budget": {"candidates": 120},
            "lag": 4,
            "seed": seed,
        },
        where="test",
    )
    problem = Problem.of(experiment)
    factory = functools.partial(ModelEvaluator, problem.spec)
    history = [make_header(problem, f"{algorithm}-{seed}")]
    engine = Engine(Prepared(problem, baselines=()), history=history)
    drive(engine, InProcessExecutor(factory))
    found = engine.study.feasible
    assert len(found) == 120
    axes = {
        "fid": ScaleAxis(zero=0.05, one=2.3, log=True, floor=0.01),
        "nfe": ScaleAxis(zero=2.0, one=11.0, log=True),
    }
    return hypervolume(axes, ["fid", "nfe"], values_of(found, problem.objectives))


@pytest.mark.soak
def test_evolution_beats_random_search_on_the_exact_mixture():
    means = {
        name: float(np.mean([volume(name, seed) for seed in range(5)]))
        for name in ("nsga2", "random")
    }
    assert means["nsga2"] > means["random"] * 1.02
