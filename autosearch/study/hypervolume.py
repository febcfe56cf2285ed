"""The hypervolume over a search: how the front grew, result by result."""

from typing import NamedTuple

import numpy as np

from autosearch.study.front import hypervolume, non_dominated, objectives_of, signs, values_of
from autosearch.study.study import Study

__all__ = ["Growth", "volumes"]


class Growth(NamedTuple):
    """The hypervolume of the search's values once so many candidates have a result."""

    candidates: int
    volume: float


def volumes(study: Study, *, most: int = 200) -> list[Growth]:
    """The hypervolume at ``most`` moments of the search or fewer, the last of them now.

    By search values, in the order of the candidates' numbers; infeasible ones count as candidates
    and add nothing. Empty before the study's axes are fixed, which its baselines do.
    """
    finished = [c for _, c in sorted(study.candidates.items()) if c.finished]
    if study.scale is None or not finished:
        return []
    objectives = objectives_of(study)
    names, sign, axes = [o.name for o in objectives], signs(objectives), study.scale["axes"]
    # Always at the end; before it, evenly.
    count = min(most, len(finished))
    ends = sorted({round((i + 1) * len(finished) / count) for i in range(count)})
    front = np.empty((0, len(names)))
    growth, start = [], 0
    for end in ends:
        new = [c for c in finished[start:end] if c.status == "ok"]
        if new:
            known = np.concatenate([front, values_of(new, objectives)])
            front = known[non_dominated(known)]
        growth.append(Growth(end, hypervolume(axes, names, sign * front)))
        start = end
    return growth
