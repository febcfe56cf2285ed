"""Where a study stands, and the interface of what shows it while a run goes on.

The search calls it and never waits for it; the command line shows it. Nothing here knows about
terminals.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from autosearch.study.front import Front
from autosearch.study.hypervolume import volumes
from autosearch.study.point import Point
from autosearch.study.ranking import objectives_of
from autosearch.study.selection import SearchFront
from autosearch.study.study import Study

__all__ = ["FrontEntry", "Progress", "Snapshot", "front_entries", "snapshot", "unfinished"]

# Moments of the line of hypervolumes, which is drawn in one line of text.
_MOMENTS = 48


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
        phase: what is being done, such as ``setup: fits, 3 done``, ``baselines``, ``search`` or
            ``validation``.
        done: candidates with a result.
        running: candidates that workers are evaluating now.
        failed: evaluations at which the machinery failed, after all attempts.
        infeasible: candidates refused by a constraint or without finite samples, not the failed.
        duplicates: proposals that were recognised and not paid for again.
        forward_equivalents: what has been executed so far.
        budget_share: how much of the phase's budget is used, 0 to 1.
        elapsed: seconds since this process began the run.
        front: the front of this moment and the best baselines, at most a screenful.
        volumes: the hypervolume over the search so far, the last one now; empty before its axes
            are fixed.
        cost_name: the objective that ``front`` shows as its cost.
        quality_name: the one that it shows as its quality.
        best: the point of the best quality so far, whatever it costs.
    """

    phase: str
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
    quality_name: str = ""
    best: FrontEntry | None = None


class Progress:
    """Is told what happens, in this order: start, any number of update and message, stop."""

    def start(self) -> None:
        """A run begins."""

    def update(self, snapshot: Snapshot) -> None:
        """Where the run stands; may be called often."""

    def message(self, text: str) -> None:
        """Something that the user should read, in one line."""

    def stop(self) -> None:
        """The run has ended, also when by an error; harmless when called twice."""


def snapshot(
    study: Study, elapsed: float, *, validating: tuple[int, int] | None = None
) -> Snapshot:
    """A snapshot; ``validating`` gives how many recipes are validated, of how many."""
    front = Front.of(study)
    finished = [c for c in study.candidates.values() if c.finished]
    share = validating[0] / max(validating[1], 1) if validating else _budget_share(study, elapsed)
    return Snapshot(
        phase="validation" if validating else _phase(study),
        done=len(finished),
        running=len(study.candidates) - len(finished),
        failed=sum(c.failed for c in finished),
        infeasible=sum(c.status == "infeasible" and not c.failed for c in finished),
        duplicates=study.duplicates,
        forward_equivalents=study.spent,
        budget_share=min(share, 1.0),
        elapsed=elapsed,
        front=front_entries(front),
        best=_best(front),
        volumes=tuple(growth.volume for growth in volumes(study, most=_MOMENTS)),
        cost_name=(front.cost or front.axes[0]).name,
        quality_name=front.quality.name,
    )


def _phase(study: Study) -> str:
    """What a search is at: setting up, its baselines, which come first, or the search proper."""
    if study.setup is not None:
        return f"setup: {study.setup}"
    last = study.candidates.get(len(study.candidates) - 1)
    return "search" if last is not None and last.kind == "search" else "baselines"


def unfinished(study: Study) -> str | None:
    """What is left to do in a study: search or validation; None when it is done."""
    if not study.stops or study.stops[-1] == "interrupted":
        return "search"
    if not all(candidate.finished for candidate in study.candidates.values()):
        return "search"
    measured = any(objective.needs for objective in objectives_of(study))
    if measured and study.feasible and not SearchFront.of(study).tried:
        return "validation"
    return None


def front_entries(front: Front) -> tuple[FrontEntry, ...]:
    """The points of a front and the best baseline of each cost, the cheapest first.

    By their values on the search's noise, also where others are known by now.
    """
    cost, quality = front.cost or front.axes[0], front.quality
    front = replace(
        front,
        points=tuple(replace(point, validated={}) for point in front.points),
        baselines=tuple(replace(point, validated={}) for point in front.baselines),
    )
    best: dict[float, Point] = {}
    for baseline in front.ordered(front.baselines):
        best.setdefault(baseline.value(cost.name), baseline)
    shown = {point.id: point for point in [*front.front, *best.values()]}.values()
    return tuple(sorted(_entry(point, cost.name, quality.name) for point in shown))


def _entry(point: Point, cost: str, quality: str) -> FrontEntry:
    label = point.baseline or str(point.id)
    return FrontEntry(point.value(cost), point.value(quality), label, bool(point.baseline))


def _best(front: Front) -> FrontEntry | None:
    """The point of the best quality on the search's noise."""
    cost, quality = front.cost or front.axes[0], front.quality
    points = [replace(point, validated={}) for point in front.front]
    best = min(points, key=lambda p: quality.signed(p.value(quality.name)), default=None)
    return None if best is None else _entry(best, cost.name, quality.name)


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
