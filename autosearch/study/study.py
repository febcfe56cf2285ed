"""A study as its events tell it: one search, its candidates and what was measured again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autosearch.errors import UserError
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.objectives.base import Estimate
from autosearch.recipe import Recipe
from autosearch.recipe.document import recipe_data
from autosearch.study.events import (
    Asked,
    Broken,
    Ended,
    Estimates,
    Evaluated,
    Event,
    Fitted,
    Header,
    LatencyMeasured,
    Lost,
    PhaseBegun,
    PhaseEnded,
    ReferenceMeasured,
    Resumed,
    ScaleFixed,
    Spent,
    TeacherMeasured,
    Timed,
    Validated,
    WarmStarted,
)
from autosearch.study.journal import read_journal
from autosearch.study.journal_lines import no_collection

__all__ = [
    "RESUMING",
    "STOPPED_AT_ONCE",
    "UNIMPROVED",
    "UNIMPROVED_TEXT",
    "Candidate",
    "Estimates",
    "Noise",
    "Study",
]

# Seed and number of samples of a validation.
Noise = tuple[int, int]
# The phase with which a run begins that goes on with a study.
RESUMING = "resume"
# The error of a run that the user stopped in the middle of an evaluation.
STOPPED_AT_ONCE = "stopped at once"
# Why a search ended that found nothing surely better than what it started from.
UNIMPROVED = "nothing better than the starts"
UNIMPROVED_TEXT = (
    "ended: nothing that the search proposed is surely better than what it started from"
)

# How the reasons began that older journals have where an evaluation could not be done.
_FAILURES = ("worker died", "ran for longer", "out of memory")


@dataclass(frozen=True)
class Candidate:
    """A distinct plan that was asked for, and its result once there is one.

    Attributes are those of :class:`~autosearch.study.events.Asked` and
    :class:`~autosearch.study.events.Evaluated`; ``executed`` are the forward equivalents, and
    ``lost`` is its ``failed``.
    """

    id: int
    kind: Literal["baseline", "init", "search"]
    name: str | None
    genome: dict[str, Any]
    identity: str
    nominal: float
    duplicates: int = 0
    told: int = 0
    point: dict[str, Any] | None = None
    foreign: bool = False
    once: float = 0.0
    status: Literal["pending", "ok", "infeasible"] = "pending"
    reason: str | None = None
    values: Estimates = field(default_factory=dict)
    samples: int = 0
    rungs: list[Estimates] = field(default_factory=list)
    saved: float = 0.0
    executed: float = 0.0
    seconds: float = 0.0
    lost: bool = False

    @property
    def finished(self) -> bool:
        """Whether it has a result."""
        return self.status != "pending"

    @property
    def stopped(self) -> bool:
        """Whether a race ended for it: something of no greater cost is better."""
        return self.saved > 0

    @property
    def failed(self) -> bool:
        """Whether the machinery failed, rather than the candidate."""
        return self.lost or (self.reason or "").startswith(_FAILURES)


class Study:
    """What the events of a study amount to, one after the other.

    Attributes:
        header: the study's first event, with what it was last resumed with.
        experiment: the experiment with every default written out, as last resumed.
        candidates: by id.
        order: ids of candidates as they were asked for, and ``~id`` where their results came.
        reference: what the model reaches with many steps.
        scale: the axes of the hypervolume.
        validations: by seed and samples, the latest last; then by identity, empty where it was
            not possible.
        overheads: what the budget counts besides candidates, by what it was spent for.
        stops: why the search ended, each time.
        phase: what a run is at now, or was when it was killed.
        phases: seconds of each phase that ended; of the search also of those that were killed, to
            their last result.
        searched: seconds of search until its last result, over all runs.
        cuts: how many runs were killed or stopped at once: what was in flight then is not among
            the forward equivalents and seconds, which are *at least* what was spent.
        lost: what the machinery could not measure, and why: by what it was, the seed and samples
            of a validation, and the plan's identity or the name to be fitted.
        unfit: why candidates could not be validated, by seed and samples, then by identity.
        error: why the last run ended, where that was by an error.
        environments: what of versions and machine was another at each run that went on.
        latency_table: from which latencies are predicted.
        timings: latencies of single plans measured alone, by identity.
        warm_start: recipes that the search started from besides its baselines, by name; None
            before it did.
        fits: what was fitted to the model, by a baseline's name.
        teachers: fine trajectories, by whose noise, seed and samples.
        duplicates: proposals whose plans were known.
        nominal: forward equivalents of all candidates.
        executed: what of these was executed.
        proposing: seconds that the algorithm took to propose, in all.
    """

    def __init__(self, header: Header) -> None:
        self.candidates: dict[int, Candidate] = {}
        self.order: list[int] = []
        self.reference: ReferenceMeasured | None = None
        self.scale: ScaleFixed | None = None
        self.validations: dict[Noise, dict[str, Estimates]] = {}
        self.overheads: dict[str, float] = {}
        self.stops: list[str] = []
        self.phase: str | None = None
        self.phases: dict[str, float] = {}
        self.searched = 0.0
        self.cuts = 0
        self.lost: dict[tuple[str, Noise | None, str], str] = {}
        self.unfit: dict[Noise, dict[str, str]] = {}
        self.error: str | None = None
        self.environments: list[dict[str, str]] = []
        self.latency_table: LatencyMeasured | None = None
        self.timings: dict[str, Estimate] = {}
        self.warm_start: dict[str, dict[str, Any]] | None = None
        self.fits: dict[str, Fitted] = {}
        self.teachers: dict[tuple[str, int, int], TeacherMeasured] = {}
        self.duplicates = 0
        self.proposing = 0.0
        self.nominal = self.executed = 0.0
        self._other_nominal = self._other_executed = 0.0
        self._set_header(header)

    def _set_header(self, header: Header) -> None:
        self.header = header
        self.experiment: Experiment = experiment_from_dict(
            header.experiment, where="journal header"
        )

    @classmethod
    def read(cls, directory: Path) -> "Study":
        """Read a study without taking its lock.

        Raises:
            UserError: when there is no study, or its journal is damaged.
        """
        return cls.of(read_journal(directory))

    @classmethod
    @no_collection()
    def of(cls, events: Iterable[Event]) -> "Study":
        """Apply events in order, the header first.

        Raises:
            UserError: for one that cannot follow those before it, such as a second result of the
                same candidate, with its place.
        """
        rest = iter(events)
        header = next(rest, None)
        if not isinstance(header, Header):
            raise UserError("history: a study begins with a header")
        study = cls(header)
        for number, event in enumerate(rest, start=2):
            reason = study.misplaced(event)
            if reason is not None:
                raise UserError(
                    f"journal of {header.name!r}, line {number}: {event.type}: {reason}; restore "
                    "a copy, or use the release of autosearch that wrote it"
                )
            study.apply(event)
        return study

    def apply(self, event: Event) -> None:  # noqa: PLR0912  # one branch per kind of event
        """Take in one event; the same for a live search and for reading."""
        match event:
            case Asked():
                self.candidates[event.id] = Candidate(**event.__dict__)
                self.order.append(event.id)
                self.nominal += event.nominal
                self.duplicates += event.duplicates
            case Evaluated():
                self._finish(event)
            case Resumed():
                self._set_header(self.header.model_copy(update=dict(event)))
            case LatencyMeasured():
                self.latency_table = event
                self._spend("latency table", event)
            case Timed():
                seconds = tuple(event.seconds)
                self.timings[event.identity] = Estimate(sum(seconds) / len(seconds), seconds)
                self.lost.pop(("timing", None, event.identity), None)
                self._count(event.forward_equivalents)
            case WarmStarted():
                self.warm_start = event.recipes
            case Fitted():
                self.fits[event.name] = event
                self.lost.pop(("fit", None, event.name), None)
                self._spend(event.name, event)
            case ReferenceMeasured():
                self.reference = event
                self._spend("reference", event)
            case TeacherMeasured():
                self.teachers[event.noise, event.seed, event.samples] = event
            case Spent():
                self._spend(event.what, event, event.nominal)
            case ScaleFixed():
                self.scale = event
            case Validated():
                self._validate(event)
            case Lost():
                self._lose(event)
            case PhaseBegun():
                self._begin(event)
            case PhaseEnded():
                self.phase = None
                self.phases[event.name] = self.phases.get(event.name, 0.0) + event.seconds
            case Broken():
                self.error, self.phase = event.reason, None
                self.cuts += 1
            case Ended():
                self.stops.append(event.reason)
                self.phase = None

    def _finish(self, event: Evaluated) -> None:
        before = self.candidates[event.id]
        self.candidates[event.id] = replace(
            before,
            status=event.status,
            reason=event.reason,
            values=event.values,
            samples=event.samples,
            rungs=event.rungs or [],
            saved=event.saved,
            executed=before.executed + event.forward_equivalents,
            seconds=before.seconds + event.seconds,
            lost=event.failed,
        )
        if not before.finished:
            self.order.append(~event.id)
        self.searched = max(self.searched, event.elapsed)
        self.executed += event.forward_equivalents
        self.proposing += event.proposing

    def _validate(self, event: Validated) -> None:
        noise = (event.seed, event.samples)
        validation = self.validations.pop(noise, {})
        validation[event.identity] = event.values
        self.validations[noise] = validation
        self.lost.pop(("validation", noise, event.identity), None)
        if event.reason is not None:
            self.unfit.setdefault(noise, {})[event.identity] = event.reason
        self._count(event.forward_equivalents, event.nominal)

    def _begin(self, event: PhaseBegun) -> None:
        self.error = None
        if event.name == RESUMING:
            # A run that ends in good order has ended its phase.
            self.cuts += self.phase is not None
            self.phase = None
            if event.environment:
                self.environments.append(event.environment)
            return
        self.phase = event.name
        if event.name == "search" and self.searched > self.phases.get("search", 0.0):
            self.phases["search"] = self.searched  # of a run that was killed

    def _lose(self, event: Lost) -> None:
        noise = None if event.seed is None else (event.seed, event.samples or 0)
        self.lost[event.what, noise, event.key] = event.reason
        self._other_executed += event.forward_equivalents

    def misplaced(self, event: Event) -> str | None:
        """Why an event cannot follow those applied so far, None where it can."""
        match event:
            case Asked() if event.id != len(self.candidates):
                return f"candidate {event.id} where {len(self.candidates)} is due"
            case Asked() if event.told > event.id:
                return f"candidate {event.id} knows {event.told} results"
            case Evaluated() | Validated():
                return self._misplaced_measurement(event)
            case ScaleFixed() if not self._has_all(event.axes):
                return "an objective has no axis"
        return None

    def _misplaced_measurement(self, event: Evaluated | Validated) -> str | None:
        candidate = self.candidates.get(event.id)
        if candidate is None:
            return f"candidate {event.id} was not asked for"
        search = isinstance(event, Evaluated)
        if search and candidate.finished and not candidate.failed:
            return f"candidate {event.id} has one already"
        measured = event.status == "ok" if isinstance(event, Evaluated) else event.values
        if measured and not self._has_all(event.values):
            return "an objective has no value"
        return None

    def _has_all(self, named: Iterable[str]) -> bool:
        return set(self.experiment.objectives) <= set(named)

    @property
    def elapsed(self) -> float:
        """Seconds of all phases, of a search that was killed to its last result."""
        unended = max(self.searched - self.phases.get("search", 0.0), 0.0)
        return sum(self.phases.values()) + unended

    @property
    def setup(self) -> str | None:
        """What is being measured before the first candidate; None when that is over."""
        if self.candidates or self.phase in (None, "search"):
            return None
        done = f", {len(self.fits)} done" if self.phase == "fits" else ""
        return f"{self.phase}{done}"

    def recipe(self, candidate: Candidate) -> Recipe:
        """The recipe of a candidate."""
        data = {"version": 1, "model": self.header.model, **recipe_data(candidate.genome)}
        return Recipe.from_dict(data, where=f"candidate {candidate.id}")

    @property
    def feasible(self) -> list[Candidate]:
        """Candidates with values, in id order."""
        return [c for c in self.candidates.values() if c.status == "ok"]

    @property
    def contenders(self) -> list[Candidate]:
        """Feasible candidates that no race has stopped, in id order."""
        return [c for c in self.feasible if not c.stopped]

    @property
    def spent(self) -> float:
        """Forward equivalents executed by everything."""
        return self._other_executed + self.executed

    @property
    def nominal_spent(self) -> float:
        """What everything would have taken if nothing had been at hand already."""
        return self._other_nominal + self.nominal

    @property
    def planned(self) -> float:
        """Forward equivalents that a budget counts: every plan asked for, reference and teacher.

        Not what was executed, which is less after a resume: a budget ends a search at the same
        candidate however often it was interrupted.
        """
        return sum(self.overheads.values()) + self.nominal

    def teacher(self, noise: Noise | None = None) -> TeacherMeasured | None:
        """The teacher of a validation, or of the search; None where no objective asked for one."""
        if noise is not None:
            return self.teachers.get(("validation", *noise))
        return self.teachers.get(("search", self.experiment.seed, self.experiment.samples))

    def validated(self, candidate: Candidate, noise: Noise | None = None) -> Estimates | None:
        """A candidate's estimates on the (seed, samples) of a validation, by default the latest.

        None where it has none.
        """
        noise = noise or next(reversed(self.validations), None)
        values = self.validations[noise].get(candidate.identity) if noise else None
        timing = self.timings.get(candidate.identity)
        if values and timing and "latency" in values:
            return {**values, "latency": timing}
        return values or None

    def lost_validations(self, noise: Noise) -> dict[str, str]:
        """Why the machinery could not validate, by identity, on the seed and samples of one."""
        lost = self.lost.items()
        return {k: why for (what, at, k), why in lost if what == "validation" and at == noise}

    def _spend(
        self,
        what: str,
        event: LatencyMeasured | Fitted | ReferenceMeasured | Spent,
        nominal: float | None = None,
    ) -> None:
        if what in self.overheads:  # done once more, since what it left was lost
            self._other_executed += event.forward_equivalents
        else:
            self._count(event.forward_equivalents, event.budgeted if nominal is None else nominal)
        self.overheads[what] = event.budgeted

    def _count(self, executed: float, nominal: float | None = None) -> None:
        self._other_executed += executed
        self._other_nominal += max(nominal or 0.0, executed)
