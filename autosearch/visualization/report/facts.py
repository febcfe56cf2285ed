"""What a study cost, what it was made with, and how to make it again."""

import base64
import shlex
from dataclasses import dataclass

import yaml

from autosearch.experiment import shipped_as
from autosearch.study.environment import environment
from autosearch.study.front import Front
from autosearch.study.study import Study
from autosearch.text import for_people, number, one_word

__all__ = ["Repeat", "cost_rows", "environment_rows", "phase_rows", "repeat", "seed_rows"]

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Repeat:
    """How to make the study again.

    Attributes:
        command: to type.
        file: the experiment's file that the command reads; None for a shipped experiment.
        text: the experiment with every default written out, as YAML.
        url: the same as a data URL.
    """

    command: str
    file: str | None
    text: str
    url: str


def repeat(study: Study) -> Repeat:
    """How to make a study again: from a shipped experiment where one fits, else from a file."""
    name, overrides = one_word(study.header.name), list(study.header.overrides)
    data = study.experiment.to_dict()
    text = for_people(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    url = "data:text/yaml;base64," + base64.b64encode(text.encode()).decode("ascii")
    shipped = shipped_as(study.experiment, overrides)
    words = ["autosearch", "run", shipped or f"{name}.yaml", "--out", f"runs/{name}-again"]
    if shipped is not None:
        for override in overrides:
            words += ["--set", override]
    return Repeat(for_people(shlex.join(words)), None if shipped else f"{name}.yaml", text, url)


def cost_rows(front: Front, study: Study) -> Pairs:
    """Candidates and forward equivalents, paid and saved."""
    cost = front.spending
    executed, nominal = cost["forward_equivalents"], cost["forward_equivalents_nominal"]
    saved, avoided = nominal - executed, cost["duplicates_avoided"]
    average = study.nominal / max(1, len(study.candidates))
    worth = f", about {avoided * average:,.0f} forward equivalents more" if avoided else ""
    baselines = sum(c.kind == "baseline" for c in study.candidates.values())
    rows = [
        ("candidates with a result", f"{cost['candidates']:,}, {baselines:,} of them baselines"),
        ("infeasible", f"{cost['infeasible']:,}"),
        ("failed evaluations", f"{cost['failed']:,}"),
        *(("missing", part) for part in front.missing),
        (
            "forward equivalents executed",
            f"{'at least ' if cost.get('cuts') else ''}{executed:,.0f}",
        ),
        ("the same without any reuse", f"{nominal:,.0f}"),
        ("saved by reuse", f"{saved:,.0f} ({100 * saved / nominal:.0f}%)" if nominal else "0"),
        ("duplicates avoided", f"{avoided:,}{worth}"),
    ]
    for what, spent in study.overheads.items():
        if spent:
            rows.append((f"of these for: {what}", f"{spent:,.0f} of the budget"))
    if latency := front.latency:
        median, largest = (100 * latency[f"{kind}_error"] for kind in ("median", "largest"))
        text = f"off by {median:.0f}% in the median, {largest:.0f}% at most"
        rows.append(("predicted latencies", f"{text} ({latency['measured']} measured alone)"))
    return rows


def phase_rows(study: Study) -> Pairs:
    """How many seconds each phase of a study took, and proposing in all of them."""
    rows = [(name, f"{seconds:,.1f} s") for name, seconds in study.phases.items()]
    if study.proposing:
        rows.append(("of these proposing", f"{study.proposing:,.1f} s"))
    return rows


def seed_rows(front: Front, study: Study) -> Pairs:
    """Seeds and numbers of samples, of the search and of fresh noise."""
    experiment, (seed, samples) = study.experiment, front.searched_on
    noise = {"common": "the same for all candidates", "fresh": "each candidate its own"}
    searched, fresh = f"{samples:,} samples, seed {seed}", "not validated yet"
    if front.validated_on is not None:
        seed, samples = front.validated_on
        fresh = f"{samples:,} samples, seed {seed}; its stream never meets the search's"
    rows = [
        ("search", searched),
        ("its noise", noise[experiment.noise]),
        ("fresh noise", fresh),
        *_teacher_rows(front),
        ("algorithm", str(experiment.algorithm["name"])),
        ("order", experiment.order),
    ]
    return [*rows, ("ended by", front.stopped)] if front.stopped else rows


def _teacher_rows(front: Front) -> Pairs:
    """The teacher's own error, and who is within it."""
    if front.teacher is None:
        return []
    errors = front.teacher.errors.items()
    each = ", ".join(f"{name} {number(error)}" for name, error in errors)
    rows = [("teacher", f"{front.teacher.recipe}, itself off by {each}")]
    if near := ", ".join(point.name for point in front.within_teacher):
        rows.append(("within that, not told apart", near))
    return rows


def environment_rows(study: Study) -> tuple[str, Pairs]:
    """What the search ran on where its journal says it, else what this report is made on."""
    recorded = study.header.environment
    if recorded:
        return "the search ran on", [(str(k), str(v)) for k, v in recorded.items()]
    rows = [("autosearch of the search", str(study.header.version)), *environment().items()]
    return "the search's own was not recorded; this report was made on", rows
