"""What a search had found by when: its front at a series of costs, measured on fresh noise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from autosearch.errors import UserError
from autosearch.experiments.benchmarks.yardstick_validation import Validator
from autosearch.study.hypervolume import hypervolume
from autosearch.study.ranking import non_dominated, objectives_of, signs, values_of
from autosearch.study.study import Candidate, Study

__all__ = ["Run", "checkpoints", "cost_of", "followed"]

# The first checkpoint, as a share of the budget.
_FIRST = 1 / 16


@dataclass(frozen=True)
class Run:
    """One study as the comparison sees it.

    Attributes:
        candidates, cost: at its end; cost in forward equivalents, all of them.
        costs, volumes: at the checkpoints until then, the last one its end; volumes are those of
            the search's front by fresh values.
        points: cost and fresh quality on the last front, best quality last.
    """

    contestant: str
    seed: int
    candidates: int
    cost: float
    costs: tuple[float, ...]
    volumes: tuple[float, ...]
    points: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @property
    def final(self) -> float:
        """The volume at the end."""
        return self.volumes[-1]

    def reaches(self, volume: float) -> float | None:
        """The cost at which the volume is reached for the first time."""
        for cost, own in zip(self.costs, self.volumes, strict=True):
            if own >= volume:
                return cost
        return None


def checkpoints(budget: float, count: int) -> list[float]:
    """Costs, evenly spaced on a logarithmic scale, the budget the last of them."""
    return [float(cost) for cost in np.geomspace(_FIRST * budget, budget, count)]


def cost_of(study: Study) -> list[float]:
    """What everything up to each candidate's result has cost, in the order of their numbers."""
    own = [
        candidate.nominal - candidate.saved * (candidate.nominal - candidate.once)
        for _, candidate in sorted(study.candidates.items())
    ]
    return (sum(study.overheads.values()) + np.cumsum(own)).tolist() if own else []


def followed(
    study: Study,
    *,
    contestant: str,
    costs: Sequence[float],
    validator: Validator,
) -> Run:
    """A finished study at the checkpoints, and at its end.

    Raises:
        UserError: when it ended before its first candidate.
    """
    spent = cost_of(study)
    if not spent:
        raise UserError(f"{contestant}: nothing was measured within the budget; raise it")
    known = [candidate for _, candidate in sorted(study.candidates.items())]
    ends = [int(np.searchsorted(spent, cost, side="right")) for cost in costs if cost < spent[-1]]
    fronts = [_front(study, known[:end]) for end in (*ends, len(known))]
    # A study may have been searched on a stand-in of what is measured here.
    axes, objectives = validator.axes(), validator.problem.measure.objectives
    names, sign = [o.name for o in objectives], signs(objectives)
    plans = {
        c.identity: validator.problem.compile(study.recipe(c)) for front in fronts for c in front
    }
    fresh = validator.measure(plans)
    volumes, values = [], np.empty((0, len(names)))
    for front in fronts:
        measured = [c for c in front if fresh[c.identity]]
        values = values_of(measured, objectives, lambda c: fresh[c.identity])
        volumes.append(hypervolume(axes, names, sign * values) or 0.0)
    best = (sign * values)[non_dominated(values)] if len(values) else values
    return Run(
        contestant=contestant,
        seed=study.experiment.seed,
        candidates=len(known),
        cost=spent[-1],
        costs=(*(cost for cost in costs if cost < spent[-1]), spent[-1]),
        volumes=tuple(volumes),
        points=tuple(tuple(row) for row in best[np.argsort(-best[:, 0])].tolist()),
    )


def _front(study: Study, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The front by search values among these; what a race has stopped is on none."""
    good = [c for c in candidates if c.status == "ok" and not c.stopped]
    if not good:
        return []
    values = values_of(good, objectives_of(study))
    return [good[i] for i in non_dominated(values)]
