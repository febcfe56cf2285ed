"""What was asked for and is not there: lost measurements, an unspent budget, limits never met."""

from collections import Counter
from collections.abc import Iterable, Sequence

from autosearch.errors import one_line
from autosearch.experiment import Bounds
from autosearch.study.selection import SearchFront
from autosearch.study.study import UNIMPROVED, Candidate, Noise, Study
from autosearch.text import number

__all__ = ["EXHAUSTED", "early_end", "infeasible_reasons", "missing", "unmet"]

# Why a search ended whose algorithm had nothing more to propose.
EXHAUSTED = "space exhausted"


def missing(study: Study, noise: Noise | None = None, *, search: bool = True) -> tuple[str, ...]:
    """What a study lacks that it was asked for, each in a few words; empty where nothing.

    Args:
        study: that is at its end, or not.
        noise: seed and samples of the validation that was asked for; the experiment's by default.
        search: whether the search's candidates count.
    """
    experiment = study.experiment
    noise = (experiment.seed, experiment.validation.samples) if noise is None else noise
    failed = [str(c.reason) for c in study.candidates.values() if search and c.failed]
    chosen = {c.identity for c in SearchFront.of(study).selection} if study.lost else set()
    validations = [why for key, why in study.lost_validations(noise).items() if key in chosen]
    lost = study.lost.items()
    timings = [why for (what, _, key), why in lost if what == "timing" and key in chosen]
    parts = [
        _part(failed, len(study.candidates), "candidates were not evaluated"),
        _part(validations, len(chosen), "validations were not done"),
        _part(timings, len(chosen), "recipes were not timed"),
    ]
    return tuple(part for part in parts if part)


def _part(reasons: Sequence[str], of: int, what: str) -> str:
    return f"{len(reasons)} of {of} {what} ({_commonest(reasons)})" if reasons else ""


def _commonest(reasons: Iterable[str]) -> str:
    return Counter(reasons).most_common(1)[0][0]


def infeasible_reasons(study: Study) -> dict[str, int]:
    """How many candidates are infeasible for each reason, the commonest first."""
    reasons = (c.reason or "" for c in study.candidates.values() if c.status == "infeasible")
    return dict(Counter(reasons).most_common())


def early_end(study: Study) -> str | None:
    """Why a search ended although its budget was not spent, in a few words; None where it did not.

    A search that was interrupted has not ended.
    """
    reason = study.stops[-1] if study.stops else None
    if reason in (None, "budget", "interrupted"):
        return None
    number = len(study.candidates)
    count = f"after {number} candidate{'s' * (number != 1)}"
    if reason == UNIMPROVED:  # early or not
        return f"ended {count}: {reason}"
    if reason != EXHAUSTED:
        return f"ended before its budget, {count}: {one_line(reason)}"
    return (
        f"ended before its budget, {count}: algorithm {study.experiment.algorithm['name']!r} "
        "proposed nothing more, or only what is known or not allowed (space exhausted)"
    )


def unmet(study: Study) -> str | None:
    """Why no candidate is feasible, in a few words: limits that none met, and the nearest values.

    None where one is, or none has a result.
    """
    finished = [c for c in study.candidates.values() if c.finished]
    if not finished or any(c.status == "ok" for c in finished):
        return None
    measured = [c for c in finished if c.values]
    constraints = study.experiment.constraints.items()
    lines = [_nearest(name, bounds, measured) for name, bounds in constraints] if measured else []
    return "; ".join(filter(None, lines)) or (
        f"none of {len(finished)} candidates is feasible: {_commonest(infeasible_reasons(study))}"
    )


def _nearest(name: str, bounds: Bounds, candidates: Sequence[Candidate]) -> str:
    """The limit and the nearest value, where no candidate keeps it."""
    values = [c.values[name].value for c in candidates]
    excess = [bounds.excess(value) for value in values]
    least = min(excess)
    if least <= 0:
        return ""
    place = excess.index(least)
    candidate = candidates[place]
    return (
        f"constraints: no candidate keeps {name} {bounds.text}; nearest "
        f"{number(values[place])} ({candidate.name or f'#{candidate.id}'})"
    )
