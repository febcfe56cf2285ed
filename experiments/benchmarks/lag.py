"""What a lag costs: the hypervolume of searches at equal candidates, with more results unseen.

With a lag of L, candidate k is proposed after the results 0 to k - L. Each search goes through the
real engine with a space of timesteps; only the evaluation is made up, so that thousands take
seconds: between two fixed log-SNRs, a recipe's error is the sum over its steps of w(l) h^3, with h
the step in log-SNR, l its middle and w(l) = 1 + 4 exp(-l^2 / 2), as of a method of second order
whose constant changes along the way. The volume lies between the error of ``ddim`` at the fewest
steps (0) and the least at each number of steps (1), on a logarithmic scale, averaged over the
numbers of steps; at the least all steps have equal parts of the error, which no search is told.
"""

import itertools
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import quad

from autosearch.baselines import baseline
from autosearch.diffusion.plan.plan import Plan
from autosearch.engine.engine import Engine
from autosearch.engine.prepare import make_header
from autosearch.engine.prepared import Prepared, make_baselines
from autosearch.engine.problem import Problem
from autosearch.experiment import Budget, Experiment

__all__ = ["error", "lag", "lag_long", "least_error", "volume"]

STEPS = (3, 10)
# From the noisiest to the cleanest time of the model.
_FIRST, _LAST = -5.06, 4.61


@dataclass(frozen=True)
class _Series:
    """Searches of one length: by which algorithms, with which lags, how often."""

    candidates: int
    algorithms: tuple[str, ...]
    lags: tuple[int, ...]
    seeds: int


# A search of seconds, and one for 256 workers.
_QUICK = (
    _Series(150, ("random", "nsga2", "tpe"), (1, 16, 48), 5),
    _Series(1_536, ("random", "nsga2"), (1, 16, 48, 768), 5),
)
# Models take a good part of a second for a proposal.
_LONG = (
    _Series(60, ("gp",), (1, 16, 48), 2),
    _Series(1_536, ("tpe",), (1, 48, 768), 2),
)


def lag() -> dict[str, Any]:
    """Median, least and most of the volume over the seeds, by candidates, algorithm and lag."""
    return _table(_QUICK)


def lag_long() -> dict[str, Any]:
    """The same of algorithms that take longer than what they propose."""
    return _table(_LONG)


def _table(series: Sequence[_Series]) -> dict[str, Any]:
    return {
        f"{one.candidates} candidates, {name}": {
            f"lag {size}": _row(name, one.candidates, size, range(one.seeds)) for size in one.lags
        }
        for one in series
        for name in one.algorithms
    }


def _row(algorithm: str, candidates: int, size: int, seeds: Sequence[int]) -> dict[str, float]:
    start = time.perf_counter()
    volumes = [volume(algorithm, candidates=candidates, lag=size, seed=seed) for seed in seeds]
    row = {
        "median": round(statistics.median(volumes), 4),
        "least": round(min(volumes), 4),
        "most": round(max(volumes), 4),
    }
    seconds = time.perf_counter() - start
    sys.stderr.write(f"{candidates} {algorithm}, lag {size}: {row}, {seconds:.1f} s\n")
    return row


def volume(algorithm: str, *, candidates: int, lag: int, seed: int) -> float:
    """The volume that one search reaches."""
    problem = Problem.of(
        Experiment(
            model={"name": "mixture"},
            space={"timesteps": {"steps": list(STEPS)}},
            objectives=["fid", "nfe"],
            baselines=["ddim"],
            algorithm={"name": algorithm},
            budget=Budget(candidates=candidates),
            lag=lag,
            seed=seed,
        )
    )
    prepared = Prepared(problem, make_baselines(problem, {}))
    engine = Engine(prepared, history=[make_header(problem, "lag")])
    best: dict[int, float] = {}
    while (asked := engine.ask()) is not None:
        found = error(asked.plan)
        engine.tell(asked.id, {"fid": found})
        best[asked.plan.nfe] = min(found, best.get(asked.plan.nfe, math.inf))
    worst = error(problem.compile(baseline(f"ddim@{STEPS[0]}", problem.denoiser)))
    counts = range(STEPS[0], STEPS[1] + 1)
    # What fewer steps reach counts for more of them, too.
    reached = itertools.accumulate((best.get(count, math.inf) for count in counts), min)
    shares = [
        math.log(worst / min(value, worst)) / math.log(worst / least_error(count))
        for value, count in zip(reached, counts, strict=True)
    ]
    return statistics.fmean(shares)


def error(plan: Plan) -> float:
    """The made-up error of a plan."""
    inner = [step.log_snr for step in plan.steps]
    places = np.array([_FIRST, *(place for place in inner if _FIRST < place < _LAST), _LAST])
    steps = np.diff(places)
    return float((_weight(places[:-1] + steps / 2) * steps**3).sum())


def _weight(log_snr: Any) -> Any:
    return 1 + 4 * np.exp(-(log_snr**2) / 2)


def least_error(count: int) -> float:
    """About the least error of ``count`` network evaluations.

    Parts are equal where each step takes an equal share of the integral of w^(1/3); their sum is
    its cube over the square of their number.
    """
    integral = quad(lambda log_snr: float(_weight(log_snr)) ** (1 / 3), _FIRST, _LAST)[0]
    return float(integral**3 / (count + 1) ** 2)
