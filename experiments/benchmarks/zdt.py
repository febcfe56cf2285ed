"""Evolution against pymoo's own, on pymoo's problems: hypervolume at equal evaluations.

Each run goes through the real engine, with its lag and its rejection of duplicates; what is left
out is the model, the worker and the journal. Genomes are real vectors, varied by
pymoo's simulated binary crossover and polynomial mutation with the settings of pymoo's defaults.
"""

import statistics
import sys
import time
from typing import Any

from pymoo.algorithms.moo.nsga2 import NSGA2 as PymooNSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3 as PymooNSGA3
from pymoo.algorithms.moo.sms import SMSEMOA as PymooSMSEMOA
from pymoo.optimize import minimize
from pymoo.util.ref_dirs import get_reference_directions

from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared
from autosearch.experiments.benchmarks.vectors import ALGORITHMS, Case

__all__ = ["PROBLEMS", "ours", "theirs", "zdt", "zdt_generations"]

# Generations until pymoo's own runs agree among themselves: before, seeds differ by half.
PROBLEMS = {"zdt1": 200, "zdt2": 400, "zdt3": 200, "dtlz2": 150}
_POPULATION = 50
_SEEDS = 5


def ours(case: Case, seed: int) -> float:
    """Hypervolume of the last population of our own run."""
    problem = case.stated(seed)
    algorithm = case.make_algorithm(problem)
    history = [make_header(problem, case.problem)]
    engine = Engine(Prepared(problem, baselines=()), algorithm=algorithm, history=history)
    while (asked := engine.ask()) is not None:
        engine.tell(asked.id, case.values(asked.candidate.genome))
    return case.hypervolume(algorithm.survivors)


def theirs(case: Case, seed: int) -> float:
    """Hypervolume of the last population of pymoo's run."""
    if case.algorithm == "nsga3":
        rays = get_reference_directions(
            "das-dennis", case.target.n_obj, n_partitions=case.partitions
        )
        algorithm = PymooNSGA3(rays, pop_size=case.size)
    else:
        kinds = {"nsga2": PymooNSGA2, "smsemoa": PymooSMSEMOA}
        algorithm = kinds[case.algorithm](pop_size=case.size)
    found = minimize(case.target, algorithm, ("n_gen", case.generations), seed=seed)
    return case.hypervolume(found.pop.get("F"))


def zdt() -> dict[str, Any]:
    """Our steady-state algorithms against pymoo's over five seeds: median and worst."""
    return _table(generational=False)


def zdt_generations() -> dict[str, Any]:
    """The same in generations, as pymoo runs them."""
    return _table(generational=True)


def _table(*, generational: bool) -> dict[str, Any]:
    return {
        f"{problem} {algorithm}": _compared(
            Case(problem, algorithm, _POPULATION, generations, generational)
        )
        for problem, generations in PROBLEMS.items()
        for algorithm in ALGORITHMS
    }


def _compared(case: Case) -> dict[str, Any]:
    start = time.perf_counter()
    pairs = [(ours(case, seed), theirs(case, seed)) for seed in range(_SEEDS)]
    mine, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    row = {
        "population": case.size,
        "evaluations": case.size * case.generations,
        "ours": round(mine, 5),
        "pymoo": round(other, 5),
        "ratio": round(mine / other, 5),
        "worst_of_ours": round(min(a for a, _ in pairs) / other, 5),
        "worst_of_pymoo": round(min(b for _, b in pairs) / other, 5),
        "seconds": round(time.perf_counter() - start, 1),
    }
    print(f"{case.problem} {case.algorithm} {row}", file=sys.stderr, flush=True)
    return row
