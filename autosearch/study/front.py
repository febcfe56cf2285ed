"""The front of a study: who is on it, by what margin, and how large it is."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting, find_non_dominated

from autosearch._typing import Array
from autosearch.objectives import find
from autosearch.objectives.base import Estimate, Objective
from autosearch.study.events import Axis
from autosearch.study.study import Candidate, Estimates, Noise, Study

__all__ = [
    "Growth",
    "candidates_per_cost",
    "complete_validation",
    "cost_groups",
    "front_table",
    "hypervolume",
    "make_scale",
    "non_dominated",
    "objectives_of",
    "rank_candidates",
    "selection",
    "values_of",
    "volumes",
]

# Gives the estimates of a candidate that count: the search's, or those of a validation.
Reader = Callable[[Candidate], Estimates]
_MOST_GROUPS = 20
_BINS = 10


def signs(objectives: Sequence[Objective]) -> Array:
    """[objectives]: +1 for those to minimise, -1 for those to maximise."""
    return np.array([-1.0 if o.direction == "maximize" else 1.0 for o in objectives])


def non_dominated(points: Array) -> list[int]:
    """Indices of the non-dominated rows of [N, objectives], all to be minimised."""
    return [int(i) for i in find_non_dominated(points)]


def objectives_of(study: Study) -> list[Objective]:
    """The objectives of a study, in its order."""
    return [_objective(name) for name in study.experiment.objectives]


@functools.cache
def _objective(name: str) -> Objective:
    """Looked up once: the search through installed packages takes milliseconds."""
    objective: Objective = find(name)()
    return objective


def cost_groups(candidates: Sequence[Candidate], objectives: Sequence[Objective]) -> list[int]:
    """A group for each candidate: its value of the first declared objective, or a bin of it."""
    declared = [o.name for o in objectives if not o.needs]
    if not declared:
        return [0] * len(candidates)
    costs = np.array([c.values[declared[0]].value for c in candidates])
    distinct = np.unique(costs)
    if len(distinct) > _MOST_GROUPS:
        space = np.geomspace if distinct[0] > 0 else np.linspace
        edges = space(distinct[0], distinct[-1], _BINS + 1)[1:-1]
        return [int(group) for group in np.digitize(costs, edges)]
    return [int(group) for group in np.searchsorted(distinct, costs)]


def candidates_per_cost(
    candidates: Sequence[Candidate], objectives: Sequence[Objective]
) -> list[list[Candidate]]:
    """Candidates of the same cost, or of costs in the same bin, together."""
    groups: dict[int, list[Candidate]] = {}
    for candidate, group in zip(candidates, cost_groups(candidates, objectives), strict=True):
        groups.setdefault(group, []).append(candidate)
    return list(groups.values())


def selection(study: Study) -> list[Candidate]:
    """What is validated: the search front, the next two and the best three baselines per cost."""
    objectives = objectives_of(study)
    candidates = study.contenders
    front = {candidates[i].id for i in non_dominated(values_of(candidates, objectives))}
    chosen = set(front)
    for members in candidates_per_cost(candidates, objectives):
        best_first = rank_candidates(members, objectives)
        baselines = [c.id for c in best_first if c.kind == "baseline"]
        chosen.update([c.id for c in best_first if c.id not in front][:2], baselines[:3])
    return [c for c in candidates if c.id in chosen]


def front_table(study: Study) -> dict[str, Any]:
    """The front as ``autosearch front --json`` prints it.

    Membership is decided on search values; where the front was validated it is decided again
    among what was validated together, and points that fall off name who overtook them. The best
    recipe of each cost is listed too, also where a cheaper one is better.
    """
    objectives = objectives_of(study)
    candidates = study.contenders
    search = values_of(candidates, objectives)
    search_front = {candidates[i].id for i in non_dominated(search)}
    noise = complete_validation(study)
    read: Reader = _searched if noise is None else lambda c: study.validated(c, noise) or {}
    pool = candidates if noise is None else [c for c in candidates if read(c)]
    final = values_of(pool, objectives, read)
    on_front = {pool[i].id for i in non_dominated(final)}
    per_cost = candidates_per_cost(pool, objectives)
    best = {rank_candidates(members, objectives, read)[0].id for members in per_cost}
    shown = search_front | on_front | best
    overtaken = _overtaken(pool, final, shown - on_front)
    listed = [c for c in candidates if c.id in shown]
    baselines = [c for c in pool if c.kind == "baseline"]
    return {
        "study": study.header.name,
        "model": study.header.model_name,
        "objectives": [
            {"name": o.name, "direction": o.direction, "unit": o.unit} for o in objectives
        ],
        "reference": _reference(study),
        "hypervolume": {
            "search": _volume(study, objectives, search),
            "validated": None if noise is None else _volume(study, objectives, final),
        },
        "points": [_point(study, c, noise, on_front, overtaken) for c in listed],
        "baselines": [_point(study, c, noise, on_front, overtaken) for c in baselines],
        "cost": _cost(study),
        **_predictions(study),
        "samples": {
            "search": study.experiment.samples,
            "validated": None if noise is None else noise[1],
        },
        "seed": {
            "search": study.experiment.seed,
            "validated": None if noise is None else noise[0],
        },
        "noise": study.experiment.noise,
        "stopped": study.stops[-1] if study.stops else None,
    }


def make_scale(study: Study, objectives: Sequence[Objective]) -> dict[str, Axis]:
    """The axes of the hypervolume: for each objective the values that count as 0 and as 1.

    0 is the reference's value (the least declared cost), 1 is ``ddim`` at the fewest steps (the
    largest declared cost of a baseline), on a log axis where both are positive. There, values
    below the reference's standard error (``floor``) count as that. Fixed before the first search
    candidate. Needs a feasible baseline.
    """
    baselines = [c for c in study.feasible if c.kind == "baseline"]
    axes = {}
    for objective in objectives:
        values = [c.values[objective.name].value for c in baselines]
        worst, best = _ends(objective, values, baselines, study)
        log = min(worst, best) > 0
        error = _reference_error(objective, study) if objective.needs else 0.0
        # What is nearer to 0 cannot be told from it, and a logarithm would make much of it.
        floor = error if log and error and objective.direction == "minimize" else None
        axes[objective.name] = Axis(zero=best, one=worst, log=log, floor=floor)
    return axes


def hypervolume(axes: Mapping[str, Axis], names: Sequence[str], values: Array) -> float:
    """Hypervolume of [N, objectives] raw values on the study's axes, reference point all ones."""
    if not len(values):
        return 0.0
    columns = []
    for column, name in zip(values.T, names, strict=True):
        axis = axes[name]
        zero, one = axis.zero, axis.one
        if axis.log:
            floor = min(axis.floor or 1e-3 * zero, zero)
            column = np.log10(np.maximum(column, floor))  # noqa: PLW2901
            zero, one = math.log10(zero), math.log10(one)
        columns.append((column - zero) / (one - zero))
    volume = HV(ref_point=np.ones(len(names)))(np.stack(columns, axis=1))
    return float(volume) if volume is not None else 0.0


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
    names, sign, axes = [o.name for o in objectives], signs(objectives), study.scale.axes
    # Always at the end; before it, evenly.
    count = min(most, len(finished))
    ends = sorted({round((i + 1) * len(finished) / count) for i in range(count)})
    front = np.empty((0, len(names)))
    growth, start = [], 0
    for end in ends:
        new = [c for c in finished[start:end] if c.status == "ok"]
        if new:
            points = np.concatenate([front, values_of(new, objectives)])
            front = points[non_dominated(points)]
        growth.append(Growth(end, hypervolume(axes, names, sign * front)))
        start = end
    return growth


def _ends(
    objective: Objective, values: Sequence[float], baselines: Sequence[Candidate], study: Study
) -> tuple[float, float]:
    """The values that count as worst and as best; the two differ."""
    up = objective.direction == "maximize"
    worst, best = (min(values), max(values)) if up else (max(values), min(values))
    reference = None if study.reference is None else study.reference.values.get(objective.name)
    if objective.needs and reference:
        best = reference.value
        if not up and best <= 0:
            # An exact model's corrected distance can be zero: its error is then the honest scale.
            error = _reference_error(objective, study)
            best = error or 1e-3 * min((value for value in values if value > 0), default=1.0)
    fewest = [c for c in baselines if c.name is not None and c.name.startswith("ddim@")]
    if objective.needs and fewest:
        worst = fewest[0].values[objective.name].value
    if worst > best if up else worst < best:
        # A baseline better than the reference: both ends from the baselines.
        worst, best = (min(values), max(values)) if up else (max(values), min(values))
    if worst == best:
        worst = best / 2 if up else best * 2
    return (worst, best) if worst != best else (best - 1 if up else best + 1, best)


def _reference_error(objective: Objective, study: Study) -> float:
    """Standard error of the reference's value; 0 where it was not measured."""
    value = None if study.reference is None else study.reference.values.get(objective.name)
    return 0.0 if value is None else value.standard_error


def complete_validation(study: Study) -> Noise | None:
    """Seed and samples of the latest validation that has measured all that it should."""
    needed = {c.identity for c in selection(study)} if study.validations else set()
    complete = (noise for noise, values in study.validations.items() if needed <= set(values))
    return max(complete, key=list(study.validations).index, default=None)


def _searched(candidate: Candidate) -> Estimates:
    return candidate.values


def _volume(study: Study, objectives: Sequence[Objective], values: Array) -> float | None:
    if study.scale is None:
        return None
    return hypervolume(study.scale.axes, [o.name for o in objectives], signs(objectives) * values)


def values_of(
    candidates: Sequence[Candidate], objectives: Sequence[Objective], read: Reader = _searched
) -> Array:
    """[N, objectives] values to be minimised."""
    rows = [[read(c)[o.name].value for o in objectives] for c in candidates]
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))
    return values * signs(objectives)


def rank_candidates(
    members: Sequence[Candidate], objectives: Sequence[Objective], read: Reader = _searched
) -> list[Candidate]:
    """Best first: by non-domination rank on the measured objectives, then by the first of them."""
    measured = [o for o in objectives if o.needs] or list(objectives)
    values = values_of(members, measured, read)
    ranks = np.zeros(len(members), dtype=int)
    if len(measured) > 1:  # else the value alone says it
        for rank, front in enumerate(NonDominatedSorting().do(values)):
            ranks[front] = rank
    order = sorted(range(len(members)), key=lambda i: (ranks[i], *values[i], members[i].id))
    return [members[i] for i in order]


def _overtaken(checked: Sequence[Candidate], values: Array, fallen: set[int]) -> dict[int, int]:
    """The candidate that dominates each fallen point, the best of them in the first objective."""
    result = {}
    for i, candidate in enumerate(checked):
        if candidate.id in fallen:
            better = [
                j
                for j in range(len(checked))
                if (values[j] <= values[i]).all() and (values[j] < values[i]).any()
            ]
            best = min(better, key=lambda j: (*values[j], checked[j].id), default=None)
            if best is not None:
                result[candidate.id] = checked[best].id
    return result


def _point(
    study: Study,
    candidate: Candidate,
    noise: Noise | None,
    on_front: set[int],
    overtaken: Mapping[int, int],
) -> dict[str, Any]:
    validated = {} if noise is None else study.validated(candidate, noise) or {}
    names = [*candidate.values, *(name for name in validated if name not in candidate.values)]
    return {
        "id": candidate.id,
        "recipe": study.recipe(candidate).to_dict(),
        "baseline": candidate.name if candidate.kind == "baseline" else None,
        "on_front": candidate.id in on_front,
        "overtaken_by": overtaken.get(candidate.id),
        "values": {
            name: _value(name, candidate.values.get(name), validated.get(name)) for name in names
        },
    }


def _value(name: str, search: Estimate | None, validated: Estimate | None) -> dict[str, Any]:
    best = validated or search
    assert best is not None
    value: dict[str, Any] = {
        "search": None if search is None else search.value,
        "validated": None if validated is None else validated.value,
        "ci": list(best.interval()),
    }
    if best.pseudo and not _objective(name).needs:
        value["measured"] = True  # where plans declare
    return value


def _reference(study: Study) -> dict[str, Any]:
    if study.reference is None:
        return {}
    return {
        "recipe": study.reference.recipe,
        "source": study.reference.source,
        "samples": study.reference.samples,
        "values": {
            name: {"value": estimate.value, "ci": list(estimate.interval())}
            for name, estimate in study.reference.values.items()
        },
    }


def _predictions(study: Study) -> dict[str, Any]:
    """How far predicted latencies are from those measured alone, where some were."""
    errors = []
    for candidate in study.feasible:
        predicted, measured = candidate.values.get("latency"), study.timings.get(candidate.identity)
        if predicted is not None and measured is not None:
            errors.append(abs(predicted.value / measured.value - 1))
    if not errors:
        return {}
    median, largest = float(np.median(errors)), max(errors)
    return {"latency": {"measured": len(errors), "median_error": median, "largest_error": largest}}


def _cost(study: Study) -> dict[str, Any]:
    finished = [c for c in study.candidates.values() if c.finished]
    infeasible = [c for c in finished if c.status == "infeasible"]
    return {
        "candidates": len(finished),
        "duplicates_avoided": study.duplicates,
        "forward_equivalents": study.spent,
        "forward_equivalents_nominal": study.nominal_spent,
        "failed": sum(c.failed for c in infeasible),
        "infeasible": len(infeasible),
        "seconds_proposing": round(study.proposing, 3),
        "phases": {name: round(seconds, 3) for name, seconds in study.phases.items()},
    }
