"""Where a study stands, for progress displays and ``status``."""

from autosearch.front import cost_groups, non_dominated, objectives_of, ranked, values_of
from autosearch.problem import Problem
from autosearch.progress import FrontEntry, Snapshot
from autosearch.study import Study

__all__ = ["front_entries", "snapshot"]


def snapshot(
    study: Study, problem: Problem, elapsed: float, *, validating: tuple[int, int] | None = None
) -> Snapshot:
    """A snapshot; ``validating`` gives how many recipes are validated, of how many."""
    objectives = objectives_of(study)
    cost, quality = _axes(study)
    finished = [c for c in study.candidates.values() if c.finished]
    infeasible = sum(c.status == "infeasible" for c in finished)
    units = {o.name: o.unit for o in objectives}
    share = validating[0] / max(validating[1], 1) if validating else _budget_share(study, elapsed)
    searching = len(study.candidates) > len(problem.baselines)
    return Snapshot(
        phase="validation" if validating else "search" if searching else "baselines",
        done=len(finished),
        running=len(study.candidates) - len(finished),
        failed=sum(c.failed for c in finished),
        infeasible=infeasible,
        duplicates=study.duplicates,
        forward_equivalents=study.spent,
        budget_share=min(share, 1.0),
        elapsed=elapsed,
        front=front_entries(study),
        cost_name=cost,
        cost_unit=units.get(cost, ""),
        quality_name=quality,
        quality_unit=units.get(quality, ""),
    )


def front_entries(study: Study) -> tuple[FrontEntry, ...]:
    """The front by search values, and the best baseline of each cost."""
    objectives = objectives_of(study)
    candidates = study.feasible
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
            c.name or str(c.id),
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
