"""What a run tells whoever watches it: a small interface that does nothing by default.

The search calls it and never waits for it; the command line shows it. Nothing here knows about
terminals.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["FrontEntry", "Phase", "Progress", "Snapshot"]

Phase = Literal["baselines", "search", "validation"]


class FrontEntry(NamedTuple):
    """A recipe as progress shows it: values as measured so far, in its objectives' own units."""

    cost: float
    quality: float
    name: str
    is_baseline: bool


@dataclass(frozen=True)
class Snapshot:
    """Where a run stands.

    Attributes:
        phase: what is being done.
        done: candidates with a result.
        running: candidates that workers are evaluating now.
        failed: evaluations that ended in an error, after all attempts.
        infeasible: candidates refused by a constraint or without finite samples.
        duplicates: proposals that were recognised and not paid for again.
        forward_equivalents: what has been executed so far.
        budget_share: how much of the phase's budget is used, 0 to 1.
        elapsed: seconds since this process began the run.
        front: the front of this moment and the best baselines, at most a screenful.
        volumes: the hypervolume over the search so far, the last one now; empty before its axes
            are fixed.
        cost_name, cost_unit, quality_name, quality_unit: what ``front`` shows.
    """

    phase: Phase
    done: int = 0
    running: int = 0
    failed: int = 0
    infeasible: int = 0
    duplicates: int = 0
    forward_equivalents: float = 0.0
    budget_share: float = 0.0
    elapsed: float = 0.0
    front: tuple[FrontEntry, ...] = ()
    volumes: tuple[float, ...] = ()
    cost_name: str = ""
    cost_unit: str = ""
    quality_name: str = ""
    quality_unit: str = ""


class Progress:
    """ReplayDenoiser what happens, in this order: start, any number of update and message, stop."""

    def start(self, total_cost: float | None = None, *, title: str = "") -> None:
        """A run begins.

        Args:
            total_cost: the budget in forward equivalents, where it is one.
            title: what runs, in a few words.
        """

    def update(self, snapshot: Snapshot) -> None:
        """Where the run stands; may be called often."""

    def message(self, text: str) -> None:
        """Something that the user should read, in one line."""

    def stop(self) -> None:
        """The run has ended, also when by an error; harmless when called twice."""
