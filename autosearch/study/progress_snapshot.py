"""Where a study stands, for progress displays and ``status``."""

from autosearch.study.front import (
    complete_validation,
    cost_groups,
    non_dominated,
    objectives_of,
    ranked,
    values_of,
)
from autosearch.study.hypervolume import volumes
from autosearch.study.progress import FrontEntry, Phase, Snapshot
from autosearch.study.study import Study

__all__ = ["front_entries", "phase_of", "snapshot", "unfinished"]

# Moments of the line of hypervolumes, which is drawn in one line of text.
_MOMENTS = 48


def snapshot(
    study: Study, elapsed: float, *, validating: tuple[int, int] | None = None
) -> Snapshot:
    """A snapshot; ``validating`` gives how many recipes are validated, of how many."""
    objectives = objectives_of(study)
    cost, quality = _axes(study)
    finished = [c for c in study.candidates.values() if c.finished]
    infeasible = sum(c.status == "infeasible" for c in finished)
    units = {o.name: o.unit for o in objectives}
    share = validating[0] / max(validating[1], 1) if validating else _budget_share(study, elapsed)
    return Snapshot(
        phase="validation" if validating else phase_of(study),
        done=len(finished),
        running=len(study.candidates) - len(finished),
        failed=sum(c.failed for c in finished),
        infeasible=infeasible,
        duplicates=study.duplicates,
        forward_equivalents=study.spent,
        budget_share=min(share, 1.0),
        elapsed=elapsed,
        front=front_entries(study),
        volumes=tuple(growth.volume for growth in volumes(study, most=_MOMENTS)),
        cost_name=cost,
        cost_unit=units.get(cost, ""),
        quality_name=quality,
        quality_unit=units.get(quality, ""),
    )


def phase_of(study: Study) -> Phase:
    """What a search is at: its baselines, which come first, or the search proper."""
    last = study.candidates.get(len(study.candidates) - 1)
    return "search" if last is not None and last.kind == "search" else "baselines"


def unfinished(study: Study) -> str | None:
    """What is left to do in a study: search or validation; None when it is done."""
    if not study.stops or study.stops[-1] == "interrupted":
        return "search"
    if not all(candidate.finished for candidate in study.candidates.values()):
        return "search"
    measured = any(objective.needs for objective in objectives_of(study))
    if measured and study.feasible and complete_validation(study) is None:
        return "validation"
    return None


def front_entries(study: Study) -> tuple[FrontEntry, ...]:
    """The front by search values, and the best baseline of each cost."""
    objectives = objectives_of(study)
    candidates = study.contenders
    if not candidates:
        return ()
    cost, quality = _axes(study)
    front = [candidates[i] for i in non_dominated(values_of(candidates, objectives))]
    groups = cost_groups(candidates, objectives)
    best = []
    for group in sorted(set(groups)):
        members = [
            c
            for c, g in zip(candidates, groups, strict=True)
            if g == group and c.kind == "baseline"
        ]
        best += ranked(members, objectives)[:1]
    shown = {c.id: c for c in [*front, *best]}
    entries = [
        FrontEntry(
            c.values[cost].value,
            c.values[quality].value,
            c.name if c.name and c.kind == "baseline" else str(c.id),
            c.kind == "baseline",
        )
        for c in shown.values()
    ]
    return tuple(sorted(entries))


def _axes(study: Study) -> tuple[str, str]:
    """The first declared objective and the first measured one, or whatever there is."""
    objectives = objectives_of(study)
    declared = [o.name for o in objectives if not o.needs]
    measured = [o.name for o in objectives if o.needs]
    first = objectives[0].name
    return (declared or [first])[0], (measured or [first])[0]


def _budget_share(study: Study, elapsed: float) -> float:
    budget = study.experiment.budget
    shares = [0.0]
    if budget.candidates:
        shares.append(len(study.candidates) / budget.candidates)
    if budget.forward_equivalents:
        shares.append(study.planned / budget.forward_equivalents)
    if budget.hours:
        shares.append(elapsed / (3600 * budget.hours))
    return max(shares)
