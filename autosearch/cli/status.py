"""What ``status`` says: where a study stands, from its journal alone."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autosearch.cli.progress import duration, front_rows
from autosearch.front import front_table, objectives_of
from autosearch.front_view import COSTS
from autosearch.journal import FILE, read_journal
from autosearch.progress import FrontEntry
from autosearch.snapshot import front_entries
from autosearch.study import Study

__all__ = ["status_data", "status_text", "unfinished"]

# A journal that was not written for longer than this belongs to a run that has stopped.
_QUIET = 300.0


def unfinished(study: Study) -> str | None:
    """What is left to do in a study: search or validation; None when it is done."""
    if not study.stops or study.stops[-1] == "interrupted":
        return "search"
    if not all(candidate.finished for candidate in study.candidates.values()):
        return "search"
    measured = any(objective.needs for objective in objectives_of(study))
    if measured and study.feasible and front_table(study)["seed"]["validated"] is None:
        return "validation"
    return None


def status_data(directory: Path) -> dict[str, Any]:
    """As ``status --json`` prints it.

    Raises:
        UserError: when the directory holds no study, or a damaged one.
    """
    records = read_journal(directory)
    study = Study.from_records(records)
    quiet = max(0.0, time.time() - (directory / FILE).stat().st_mtime)
    todo = unfinished(study)
    candidates = study.candidates.values()
    finished = [c for c in candidates if c.finished]
    return {
        "study": study.header["name"],
        "model": study.header["model_name"],
        "state": "finished" if todo is None else _state(study, records[-1], quiet),
        "phase": _phase(study, todo),
        "done": len(finished),
        "pending": len(candidates) - len(finished),
        "failed": sum(c.failed for c in finished),
        "infeasible": sum(c.status == "infeasible" for c in finished),
        "duplicates_avoided": study.duplicates,
        "forward_equivalents": study.spent,
        "budget_share": _budget_share(study),
        "seconds": round(sum(study.phases.values()), 3),
        "seconds_proposing": round(study.proposing, 3),
        "last_write_seconds_ago": round(quiet, 3),
        "stopped": study.stops[-1] if study.stops else None,
        "objectives": list(study.experiment.objectives),
        "front": [entry._asdict() for entry in front_entries(study)],
    }


def status_text(data: Mapping[str, Any]) -> str:
    """The same for people."""
    state = data["state"] if data["state"] == "finished" else f"{data['state']}, {data['phase']}"
    lines = [
        f"{data['study']} on {data['model']}: {state}",
        f"{data['done']} done, {data['pending']} pending, {data['failed']} failed, "
        f"{data['infeasible']} infeasible, {data['duplicates_avoided']} duplicates avoided",
        f"{100 * data['budget_share']:.0f}% of the budget, "
        f"{data['forward_equivalents']:,.0f} forward equivalents; "
        f"last written {duration(data['last_write_seconds_ago'])} ago",
    ]
    if data["seconds_proposing"] >= 1:
        lines.append(f"proposing took {duration(data['seconds_proposing'])}")
    if data["state"] == "stopped":
        lines.append("continue it with: autosearch run EXPERIMENT --out DIR --resume")
    entries = tuple(FrontEntry(**entry) for entry in data["front"])
    if entries:
        cost = next((name for name in data["objectives"] if name in COSTS), "cost")
        rows = [(cost, "searched", "best baseline"), *front_rows(entries)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines.append("")
        lines += [
            f"{row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:<{widths[2]}}".rstrip()
            for row in rows
        ]
    return "\n".join(lines)


def _state(study: Study, last: Mapping[str, Any], quiet: float) -> str:
    """Whether somebody is at work on an unfinished study, as far as its journal tells."""
    interrupted = bool(study.stops) and study.stops[-1] == "interrupted"
    left = last["type"] == "phase" and (interrupted or last["name"] == "validation")
    return "stopped" if left or quiet > _QUIET else "running"


def _phase(study: Study, todo: str | None) -> str:
    if todo is None or todo == "validation":
        return "validation"
    searching = any(c.kind == "search" for c in study.candidates.values())
    return "search" if searching else "baselines"


def _budget_share(study: Study) -> float:
    """How much of the search's budget is used, 0 to 1."""
    budget = study.experiment.budget
    shares = [0.0]
    if budget.candidates:
        shares.append(len(study.candidates) / budget.candidates)
    if budget.forward_equivalents:
        shares.append(study.planned / budget.forward_equivalents)
    if budget.hours:
        shares.append(study.phases.get("search", 0.0) / (3600 * budget.hours))
    return min(1.0, max(shares))
