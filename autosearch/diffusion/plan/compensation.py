"""DC-Solver's ratios as weights (Zhao et al. 2024).

Before a step, the newest evaluation is replaced by the polynomial through the last three at time
``t + (ratio - 1) (t - t_before)``: ratio 1 is the evaluation itself. What took its place stays for
the steps after it. As published, the first two steps have nothing to compensate with.
"""

from collections.abc import Sequence

from autosearch.diffusion.lagrange import lagrange_basis
from autosearch.recipe import Step, round_float

__all__ = ["LEAST_HISTORY", "compensation", "is_compensated"]

LEAST_HISTORY = 3


def is_compensated(steps: Sequence[Step], i: int) -> bool:
    """Whether step i replaces its evaluation; not where the last times repeat."""
    if i + 1 < LEAST_HISTORY or steps[i].compensation == 1:
        return False
    return len({step.time for step in steps[i + 1 - LEAST_HISTORY : i + 1]}) == LEAST_HISTORY


def compensation(steps: Sequence[Step], times: Sequence[float], i: int) -> tuple[float, ...]:
    """The weights of the last three evaluations, newest first; empty where nothing changes."""
    if not is_compensated(steps, i):
        return ()
    past = [times[i - back] for back in range(LEAST_HISTORY)]
    at = past[1] + steps[i].compensation * (past[0] - past[1])
    return tuple(round_float(lagrange_basis(past, i, at)) for i in range(LEAST_HISTORY))
