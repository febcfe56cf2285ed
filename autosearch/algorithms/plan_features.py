"""A plan as a vector of fixed length, for models that guess at its quality."""

import math
from collections.abc import Callable

import numpy as np

from autosearch._typing import Array
from autosearch.diffusion.plan.plan import Plan, StepPlan

__all__ = ["COSTS", "descriptor"]

# What a plan declares: an objective that is one of these needs no guess.
COSTS = ("nfe", "forwards", "macs", "memory")

# Places along a recipe at which its levels, and its other choices, are read.
_LEVELS = np.linspace(0.0, 1.0, 9)
_CHOICES = np.linspace(0.0, 1.0, 5)
# Half log-SNRs, log(alpha/sigma), beyond are pure noise or clean.
_FURTHEST = 8.0


def descriptor(plan: Plan) -> Array:
    """A plan as [22] numbers: half log-SNRs along its steps, what its solver does, and its costs.

    Recipes of any length are read at the same places, in between by interpolation.
    """
    ways = [step.log_snr for step in plan.steps] + [plan.steps[-1].next_log_snr]
    visited = np.clip(ways, -_FURTHEST, _FURTHEST)
    levels, gaps = visited[:-1], np.diff(visited)
    places = np.linspace(0.0, 1.0, len(levels)) if len(levels) > 1 else np.array([0.0])
    orders = np.array([float(step.order) for step in plan.steps])
    return np.concatenate(
        [
            np.interp(_LEVELS, places, levels),
            np.interp(_CHOICES, places, orders),
            [
                math.log(len(levels)),
                float(np.log(np.maximum(gaps, 1e-3)).std()),
                _share(plan, lambda step: step.corrector is not None),
                _share(plan, lambda step: step.evaluate != "network"),
            ],
            [math.log1p(max(float(getattr(plan, cost)), 0.0)) for cost in COSTS],
        ]
    )


def _share(plan: Plan, holds: Callable[[StepPlan], bool]) -> float:
    return sum(holds(step) for step in plan.steps) / len(plan.steps)
