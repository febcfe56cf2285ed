"""What a study cost, what it was made with, and how to make it again."""

import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from autosearch.errors import UserError
from autosearch.experiment import load_experiment, shipped_experiments
from autosearch.study.environment import environment
from autosearch.study.study import Study

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
    """The command: of a shipped experiment where one fits, else of the file that is given."""
    name, overrides = str(study.header.name), list(study.header.overrides)
    text = yaml.safe_dump(study.experiment.to_dict(), sort_keys=False, allow_unicode=True)
    url = "data:text/yaml;base64," + base64.b64encode(text.encode()).decode("ascii")
    shipped = _shipped(study, overrides)
    words = ["autosearch", "run", shipped or f"{name}.yaml", "--out", f"runs/{name}-again"]
    if shipped is not None:
        for override in overrides:
            words += ["--set", override]
    return Repeat(shlex.join(words), None if shipped else f"{name}.yaml", text, url)


def cost_rows(table: Mapping[str, Any], study: Study) -> Pairs:
    """Candidates and forward equivalents, paid and saved."""
    cost = table["cost"]
    executed, nominal = cost["forward_equivalents"], cost["forward_equivalents_nominal"]
    baselines = sum(c.kind == "baseline" for c in study.candidates.values())
    rows = [
        ("candidates with a result", f"{cost['candidates']:,}, {baselines:,} of them baselines"),
        ("infeasible", f"{cost['infeasible']:,}, {cost['failed']:,} of them failed evaluations"),
        ("forward equivalents executed", f"{executed:,.0f}"),
        ("the same without any reuse", f"{nominal:,.0f}"),
        ("saved by reuse", _share(nominal - executed, nominal)),
    ]
    avoided = cost["duplicates_avoided"]
    average = study.nominal / max(1, len(study.candidates))
    worth = f", about {avoided * average:,.0f} forward equivalents more" if avoided else ""
    rows.append(("duplicates avoided", f"{avoided:,}{worth}"))
    rows += [
        (f"of these for: {what}", f"{spent:,.0f} of the budget")
        for what, spent in study.overheads.items()
        if spent
    ]
    if "latency" in table:
        latency = table["latency"]
        rows.append(
            (
                "predicted latencies",
                f"off by {100 * latency['median_error']:.0f}% in the median, "
                f"{100 * latency['largest_error']:.0f}% at most "
                f"({latency['measured']} measured alone)",
            )
        )
    return rows


def phase_rows(study: Study) -> Pairs:
    """Seconds of each phase, and of proposing."""
    rows = [(name, f"{seconds:,.1f} s") for name, seconds in study.phases.items()]
    if study.proposing:
        rows.append(("of these proposing", f"{study.proposing:,.1f} s"))
    return rows


def seed_rows(table: Mapping[str, Any], study: Study) -> Pairs:
    """Seeds and numbers of samples, of the search and of fresh noise."""
    experiment, samples, seeds = study.experiment, table["samples"], table["seed"]
    noise = {"common": "the same for all candidates", "fresh": "each candidate its own"}
    rows = [
        ("search", f"{samples['search']:,} samples, seed {seeds['search']}"),
        ("its noise", noise[experiment.noise]),
    ]
    if seeds["validated"] is None:
        rows.append(("fresh noise", "not validated yet"))
    else:
        fresh = f"{samples['validated']:,} samples, seed {seeds['validated']}"
        rows.append(("fresh noise", f"{fresh}; its stream never meets the search's"))
    rows.append(("algorithm", str(experiment.algorithm["name"])))
    rows.append(("order", experiment.order))
    if table["stopped"]:
        rows.append(("ended by", str(table["stopped"])))
    return rows


def environment_rows(study: Study) -> tuple[str, Pairs]:
    """Of the search where its journal says it, else of this report."""
    recorded = study.header.environment
    if recorded:
        return "the search ran on", [(str(k), str(v)) for k, v in recorded.items()]
    rows = [("autosearch of the search", str(study.header.version)), *environment().items()]
    return "the search's own was not recorded; this report was made on", rows


def _shipped(study: Study, overrides: list[str]) -> str | None:
    """The name of the shipped experiment that, with the overrides, is the study's."""
    wanted = study.experiment.to_dict()
    for name in shipped_experiments():
        try:
            if load_experiment(name, overrides).to_dict() == wanted:
                return name
        except UserError:  # overrides that another experiment has no place for
            continue
    return None


def _share(part: float, whole: float) -> str:
    return f"{part:,.0f} ({100 * part / whole:.0f}%)" if whole else "0"
