"""NeuralSolver (Wang et al. 2024): times and weights that gradients found on large image models.

The tables for flows were found on FlowDCN and SiT, those for betas on DiT, and are used here on
other models as its authors do. Each step goes on from the newest state by a weighted mean of all
evaluations so far, of the velocity on flows and of the data on betas.

Flows: the published step lengths add up to 1 within two units of their last digit. The last step
ends at the clean end with the published length, so that the state is the one that the released code
returns.

Betas: the tables count the time of the continuous process of betas 0.1 to 20, from 0.999 down to
0.001, where they stop before the clean end. Its levels are used on the linear betas, which are that
process; on other betas those of the same training steps. Two deviations: the authors' sampler
applies each update twice, their scheduler for text-to-image models once, as their paper does and as
we do; and both ask the network one training step after the level of the state, where we ask there.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import Any

from autosearch.baselines.base import Choices, Layout, Solver
from autosearch.diffusion.grids import GridPoint, SamplingGrid
from autosearch.diffusion.schedules import NoiseSchedule
from autosearch.errors import UserError

__all__ = ["SOLVERS"]

_NAME = "neural_solver"
_FILE = "neural_solver.json"
# Betas of the continuous process, and its first and last time.
_BETA_LEAST, _BETA_MOST = 0.1, 20.0
_FIRST, _LAST = 0.999, 0.001


@dataclass(frozen=True)
class _Table:
    """Step lengths in time, and of each step the weights of all evaluations but the newest.

    The newest has what is left to 1.
    """

    lengths: tuple[float, ...]
    older: tuple[tuple[float, ...], ...]

    def shares(self, step: int) -> list[float]:
        """The weights of all evaluations so far, oldest first; their sum is 1."""
        older = self.older[step]
        return [*older, 1.0 - math.fsum(older)]


def _table(schedule: NoiseSchedule, steps: int) -> _Table:
    """The table of a family of models and a number of steps.

    Raises:
        UserError: where none is published.
    """
    tables = _tables().get(schedule.family)
    if tables is None:
        families = " and ".join(_tables())
        raise UserError(
            f"baseline {_NAME}@{steps}: published for {families} models, not for "
            f"{schedule.family} ones; use ipndm@{steps}"
        )
    if steps not in tables:
        near = min(tables, key=lambda count: (abs(count - steps), count))
        counts = ", ".join(map(str, tables))
        raise UserError(
            f"baseline {_NAME}@{steps}: published for {counts} steps on {schedule.family} "
            f"models; the nearest is {_NAME}@{near}"
        )
    return tables[steps]


@cache
def _tables() -> Mapping[str, Mapping[int, _Table]]:
    text = (files("autosearch.baselines") / _FILE).read_text(encoding="utf-8")
    published: Mapping[str, Mapping[str, Any]] = json.loads(text)["tables"]
    return {
        family: {
            int(count): _Table(tuple(one["lengths"]), tuple(map(tuple, one["older"])))
            for count, one in tables.items()
        }
        for family, tables in published.items()
    }


def _points(schedule: NoiseSchedule, steps: int) -> SamplingGrid:
    """The published times, and where the last step ends."""
    lengths = _table(schedule, steps).lengths
    if schedule.family == "flow":
        times = accumulate(lengths[:-1], lambda time, length: time - length, initial=1.0)
        return SamplingGrid(tuple((time, None) for time in times), "clean", "unit")
    times = accumulate(lengths[:-1], lambda time, length: time - length, initial=_FIRST)
    points = tuple(_point(schedule, time) for time in times)
    last, end = _point(schedule, _LAST)
    return SamplingGrid(points, schedule.log_snr(last) if end is None else end, "unit")


def _point(schedule: NoiseSchedule, time: float) -> GridPoint:
    """A point of betas at a time of the continuous process, from 0 to 1."""
    if schedule.name == "linear":
        exponent = (_BETA_MOST - _BETA_LEAST) * time**2 / 2 + _BETA_LEAST * time
        log_snr = -0.5 * math.log(math.expm1(exponent))
        return schedule.time(log_snr), log_snr
    return max(schedule.train_steps * time - 1.0, 0.0), None


def _weigh(layout: Layout) -> Layout:
    """The published weights, of the newest state and of all evaluations."""
    schedule, steps = layout.schedule, len(layout.points)
    table = _table(schedule, steps)
    flow = schedule.family == "flow"
    choices: list[Choices] = []
    for i, (here, there) in enumerate(pairwise(layout.log_snrs)):
        if flow:
            state, whole = 1.0, -table.lengths[i]
        else:
            (alpha, sigma), (next_alpha, next_sigma) = map(schedule.alpha_sigma, (here, there))
            state = next_sigma / sigma
            whole = next_alpha - state * alpha
        weights = [state, *(whole * share for share in table.shares(i))]
        prediction = {"prediction": "velocity"} if flow else {}
        choices.append({"form": "linear", "start_point": -1, "weights": weights, **prediction})
    return layout.with_choices(choices)


SOLVERS: Mapping[str, Solver] = {
    _NAME: Solver(
        "NeuralSolver (Wang et al. 2024): published times and weights, found on large models",
        lambda count: [{} for _ in range(count)],
        0,
        own_points=_points,
        adapt=_weigh,
        usual=False,
    )
}
