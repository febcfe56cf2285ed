"""The comparison in numbers: how much each search costs until it is as good as the others."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from autosearch.experiments.benchmarks.contestants import OURS, Contestant
from autosearch.experiments.benchmarks.yardstick_fronts import Run

__all__ = ["markdown", "milestones", "rows", "shares"]

# Whose ends an ablation is measured by.
_MILESTONES = ("nsga2", "nsga2-given")


def shares(
    runs: Sequence[Run], contestant: str, *, ours: str = OURS.name
) -> dict[int, float | None]:
    """By seed: the cost at which ours is as good as a contestant is at its end, over its cost.

    None where ours is not.
    """
    best = {run.seed: run for run in runs if run.contestant == ours}
    found = {}
    for run in runs:
        if run.contestant == contestant and run.seed in best:
            reached = best[run.seed].reaches(run.final)
            found[run.seed] = None if reached is None else reached / run.cost
    return found


def rows(runs: Sequence[Run], *, ours: str = OURS.name) -> list[dict[str, Any]]:
    """One for each contestant, in the order of the runs."""
    found = []
    for name in dict.fromkeys(run.contestant for run in runs):
        own = [run for run in runs if run.contestant == name]
        volumes = [run.final for run in own]
        by_seed = shares(runs, name, ours=ours)
        # Not reached is worse than any share.
        order = sorted(float("inf") if share is None else share for share in by_seed.values())
        middle = statistics.median(order) if order else None
        found.append(
            {
                "contestant": name,
                "candidates": statistics.median(run.candidates for run in own),
                "cost": statistics.median(run.cost for run in own),
                "volume": statistics.median(volumes),
                "least": min(volumes),
                "most": max(volumes),
                "share": None if middle is None or middle == float("inf") else middle,
                "shares": by_seed,
            }
        )
    return found


def markdown(found: Sequence[Mapping[str, Any]], *, ours: str = OURS.name) -> str:
    """The rows as a table."""
    lines = [
        "| search | candidates | cost | volume (least to most) | ours' cost over its | by seed |",
        "|---|---|---|---|---|---|",
    ]
    for row in found:
        own = row["contestant"] == ours
        by_seed = ", ".join(_share(share) for share in row["shares"].values())
        lines.append(
            f"| {row['contestant']} | {row['candidates']:.0f} | {row['cost'] / 1e6:.2f} M "
            f"| {row['volume']:.4f} ({row['least']:.4f} to {row['most']:.4f}) "
            f"| {'' if own else _share(row['share'])} | {'' if own else by_seed} |"
        )
    return "\n".join(lines)


def milestones(
    runs: Sequence[Run], known: Sequence[Contestant], *, ends: Sequence[str] = _MILESTONES
) -> str:
    """A table: the share of the budget after which each is as good as others are at their ends."""
    finals = {(run.contestant, run.seed): run.final for run in runs}
    summaries = {one.name: one.summary for one in known}
    names = [name for name in ends if any(run.contestant == name for run in runs)]
    lines = [
        "| search | what it is | candidates | hypervolume (by seed) | "
        + " | ".join(f"as good as `{name}`" for name in names)
        + " |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    for contestant in dict.fromkeys(run.contestant for run in runs):
        own = [run for run in runs if run.contestant == contestant]
        cells = [
            "" if name == contestant else ", ".join(_reached(run, finals, name) for run in own)
            for name in names
        ]
        middle = statistics.median(run.final for run in own)
        volumes = ", ".join(f"{run.final:.4f}" for run in own)
        count = statistics.median(run.candidates for run in own)
        lines.append(
            f"| `{contestant}` | {summaries[contestant]} | {count:.0f} | {middle:.4f} ({volumes}) "
            + "| "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def _reached(run: Run, finals: Mapping[tuple[str, int], float], name: str) -> str:
    wanted = finals.get((name, run.seed))
    cost = None if wanted is None else run.reaches(wanted)
    return _share(None if cost is None else cost / run.cost)


def _share(share: float | None) -> str:
    return "never" if share is None else f"{share:.2f}"
