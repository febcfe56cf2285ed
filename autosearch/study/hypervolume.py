"""The hypervolume of a study: its axes, fixed once, and how it grew over the search.

Of search values it is an upper value: who wins owes some of it to luck, so that on average it is
above the hypervolume of the same recipes' true values.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pymoo.indicators.hv import HV

from autosearch._typing import Array
from autosearch.objectives.base import Estimate, Objective
from autosearch.study.events import ScaleAxis
from autosearch.study.ranking import non_dominated, objectives_of, signs, values_of
from autosearch.study.study import Candidate, Study

__all__ = ["UPPER", "Growth", "hypervolume", "make_scale", "study_hypervolume", "volumes"]

# The time of a hypervolume grows with the power of half the number of objectives. These many
# non-dominated points, by the number of objectives, take a few hundredths of a second.
_MOST_POINTS = {5: 1000, 6: 200, 7: 60, 8: 40}
_MOST_POINTS_BEYOND = 20
# Where the baselines do not span an axis, it goes so far beyond them.
_DECADE = 10.0
# What a hypervolume of search values is called wherever it is shown.
UPPER = "an upper value"


def make_scale(
    study: Study,
    objectives: Sequence[Objective],
    reach: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, ScaleAxis]:
    """The axes of the hypervolume: for each objective the values that count as 0 and as 1.

    0 is the reference's value (the least declared cost), 1 is ``ddim`` at the fewest steps (the
    largest declared cost of a baseline), on a log axis where both are positive. Where the
    baselines do not span an axis (costs within a factor of two; a reference no better than
    ``ddim``; a space that goes beyond their costs), it goes on for a factor of ten beyond them, so
    that better, cheaper and dearer points still count.
    ``floor``, the reference's standard error, stands in the record for its readers. Fixed before
    the first search candidate. Needs a feasible baseline.

    Args:
        study: its baselines and its reference are looked at, and no search candidate.
        objectives: the study's.
        reach: the least and the largest value of declared objectives in the space searched.
    """
    reach = {} if reach is None else reach
    baselines = [c for c in study.feasible if c.kind == "baseline"]
    reference = {} if study.reference is None else study.reference.values
    axes = {}
    for objective in objectives:
        if objective.needs:
            worst, best = _measured_ends(objective, baselines, reference.get(objective.name))
        else:
            worst, best = _declared_ends(objective, baselines, reach.get(objective.name))
        log = min(worst, best) > 0
        floor = None
        if log and objective.name in reference and objective.direction == "minimize":
            floor = reference[objective.name].standard_error or None
        axes[objective.name] = ScaleAxis(zero=best, one=worst, log=log, floor=floor)
    return axes


def hypervolume(axes: Mapping[str, ScaleAxis], names: Sequence[str], values: Array) -> float | None:
    """The share of the box between the axes' ends that [N, objectives] raw values dominate.

    Between 0 and 1: what is better than an axis's 0 counts as 0. None where so many points of so
    many objectives would take too long.
    """
    columns = []
    for column, name in zip(values.T, names, strict=True):
        zero, one = axes[name].zero, axes[name].one
        if axes[name].log:
            column = np.log10(np.maximum(column, min(zero, one) * 1e-9))  # noqa: PLW2901
            zero, one = math.log10(zero), math.log10(one)
        columns.append((column - zero) / (one - zero))
    points = np.maximum(np.stack(columns, axis=1), 0.0)
    points = np.unique(points[(points < 1).all(axis=1)], axis=0)
    points = points[non_dominated(points)]
    most = _MOST_POINTS.get(len(names), _MOST_POINTS_BEYOND) if len(names) > 4 else math.inf
    if len(points) > most:
        return None
    # Rounding may leave the unit cube's own volume a little above 1.
    return min(float(HV(ref_point=np.ones(len(names)))(points) or 0.0), 1.0) if len(points) else 0.0


def study_hypervolume(study: Study, values: Array) -> float | None:
    """The hypervolume of [N, objectives] values to be minimised on a study's own axes.

    None before the axes are fixed, which the study's baselines do, and where it would take too
    long.
    """
    if study.scale is None:
        return None
    objectives = objectives_of(study)
    raw = signs(objectives) * values
    return hypervolume(study.scale.axes, [o.name for o in objectives], raw)


class Growth(NamedTuple):
    """The hypervolume of the search's values once so many candidates have a result."""

    candidates: int
    volume: float


def volumes(study: Study, *, most: int = 200) -> list[Growth]:
    """The hypervolume at ``most`` moments of the search or fewer, the last of them now.

    By search values, in the order of the candidates' numbers; infeasible ones count as candidates
    and add nothing. Empty where :func:`study_hypervolume` has none.
    """
    finished = [c for c in study.candidates.values() if c.finished]
    objectives = objectives_of(study)
    # Always at the end; before it, evenly.
    count = min(most, len(finished))
    ends = [round((i + 1) * len(finished) / count) for i in range(count)]
    front = np.empty((0, len(objectives)))
    growth, start = [], 0
    for end in dict.fromkeys(ends):
        new = [c for c in finished[start:end] if c.status == "ok"]
        points = np.concatenate([front, values_of(new, objectives)])
        front = points[non_dominated(points)]
        volume = study_hypervolume(study, front)
        if volume is None:
            return []
        growth.append(Growth(end, volume))
        start = end
    return growth


def _declared_ends(
    objective: Objective, baselines: Sequence[Candidate], reach: tuple[float, float] | None
) -> tuple[float, float]:
    """The worst and the best value among baselines, or beyond them where they span too little."""
    values = [c.values[objective.name].value for c in baselines]
    low, high = min(values), max(values)
    least, most = (low, high) if reach is None else reach
    close = high < 2 * low if low > 0 else high <= low
    up = objective.direction == "maximize"
    first = _beyond(low, high, larger=False) if close or least < low else low
    last = _beyond(high, low, larger=True) if close or most > high else high
    return (first, last) if up else (last, first)


def _measured_ends(
    objective: Objective, baselines: Sequence[Candidate], reference: Estimate | None
) -> tuple[float, float]:
    """``ddim`` at the fewest steps (else the worst baseline), and the reference's value."""
    values = [c.values[objective.name].value for c in baselines]
    worst, best = _ends(objective, values)
    up = objective.direction == "maximize"
    fewest = [c for c in baselines if c.name is not None and c.name.startswith("ddim@")]
    start = fewest[0].values[objective.name].value if fewest else worst
    goal = best if reference is None else reference.value
    if not up and goal <= 0 and reference is not None:
        # An exact model's corrected distance can be zero: its error is then the honest scale.
        least = min((value for value in values if value > 0), default=1.0)
        goal = reference.standard_error or 1e-3 * least
    if goal > start if up else goal < start:
        return start, goal
    return worst, _beyond(best, worst, larger=up)


def _ends(objective: Objective, values: Sequence[float]) -> tuple[float, float]:
    """The worst and the best of some values."""
    up = objective.direction == "maximize"
    return (min(values), max(values)) if up else (max(values), min(values))


def _beyond(end: float, other: float, *, larger: bool) -> float:
    """A value beyond one end of a range, to the side where values are larger or smaller."""
    if min(end, other) > 0:
        return end * _DECADE if larger else end / _DECADE
    span = abs(end - other) or max(abs(end), 1.0)
    return end + span if larger else end - span
