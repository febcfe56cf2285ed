"""A study as its journal tells it: one search, its candidates and what was measured again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from autosearch.errors import UserError
from autosearch.experiment import Experiment, experiment_from_dict
from autosearch.objectives.base import Estimate
from autosearch.recipe import Recipe
from autosearch.recipe.document import recipe_data
from autosearch.study.journal import read_journal
from autosearch.study.journal_lines import no_collection
from autosearch.study.records import fault, misplaced

__all__ = ["Candidate", "Study", "estimates_from_record", "estimates_to_record"]

Record = Mapping[str, Any]
Estimates = dict[str, Estimate]
Noise = tuple[int, int]

# How the reasons begin that executors give when an evaluation could not be done.
_FAILURES = ("worker died", "ran for longer", "out of memory")


@dataclass
class Candidate:
    """A distinct plan that was asked for, and its result once there is one."""

    id: int
    # ``init``: what another search found, given like a baseline.
    kind: Literal["baseline", "init", "search"]
    name: str | None
    genome: dict[str, Any]
    identity: str
    nominal: float
    duplicates: int = 0
    status: Literal["pending", "ok", "infeasible"] = "pending"
    reason: str | None = None
    values: Estimates = field(default_factory=dict)
    executed: float = 0.0
    seconds: float = 0.0
    point: dict[str, Any] | None = None
    # How many results the algorithm knew when this was asked for.
    told: int = 0
    # Of how many samples the values are, and what was measured at the rungs before that.
    samples: int = 0
    rungs: list[Estimates] = field(default_factory=list)
    # The share of its samples that was not needed, since a race was decided before.
    saved: float = 0.0
    # A baseline that the space cannot express: no algorithm gets to see it.
    foreign: bool = False
    # What of the nominal cost is for training, whatever the number of samples.
    once: float = 0.0

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
        """Whether its workers failed, rather than the candidate."""
        return (self.reason or "").startswith(_FAILURES)


@dataclass
class Study:
    """What the records of a journal amount to; built by applying them in order."""

    header: Record
    candidates: dict[int, Candidate] = field(default_factory=dict)
    reference: Record | None = None
    scale: Record | None = None
    # By seed and samples, the latest last; then by identity, empty where it was not possible.
    validations: dict[Noise, dict[str, Estimates]] = field(default_factory=dict)
    other_cost: float = 0.0
    # The same without anything that was at hand already.
    other_nominal: float = 0.0
    # What the budget counts besides candidates, by what it was spent for.
    overheads: dict[str, float] = field(default_factory=dict)
    nominal: float = 0.0
    executed: float = 0.0
    duplicates: int = 0
    stops: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)
    # From which latencies are predicted; and those of single plans measured alone, by identity.
    latency_table: Record = field(default_factory=dict)
    timings: dict[str, Estimate] = field(default_factory=dict)
    # Recipes that the search started from besides its baselines, by name; None before it did.
    warm_start: Record | None = None
    # Records of what was fitted to the model, by a baseline's name.
    fits: dict[str, Record] = field(default_factory=dict)
    # Seconds that the algorithm took to propose, in all.
    proposing: float = 0.0

    @classmethod
    def read(cls, directory: Path) -> "Study":
        """Read a study without taking its lock.

        Raises:
            UserError: when there is no study, or its journal is damaged.
        """
        return cls.from_journal(read_journal(directory))

    @classmethod
    def from_records(cls, records: Sequence[Record]) -> "Study":
        """Apply records of this release's own making in order."""
        study = cls(records[0])
        for record in records[1:]:
            study.apply(record)
        return study

    @classmethod
    @no_collection()
    def from_journal(cls, records: Sequence[Record]) -> "Study":
        """Check and apply the records of a file in order.

        Raises:
            UserError: for one that this release does not understand or that does not belong
                there, such as a second result of the same candidate, with its line.
        """
        study = cls(records[0])
        names: set[str] = set()
        for number, record in enumerate(records):
            wrong = fault(record)
            if wrong is None and number == 0:
                names = set(study.experiment.objectives)
            elif wrong is None:
                wrong = misplaced(record, study.candidates, names)
            if wrong is not None:
                raise UserError(
                    f"journal of {study.header.get('name')!r}, line {number + 1}: {wrong}; restore "
                    "a copy, or use the release of autosearch that wrote it"
                )
            if number:
                study.apply(record)
        return study

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment with every default written out, as last resumed."""
        return experiment_from_dict(self.header["experiment"], where="journal header")

    def apply(self, record: Record) -> None:
        """Take in one record; the same for a live search and for reading."""
        handler = getattr(self, f"_apply_{record['type']}", None)
        if handler is not None:
            handler(record)

    def recipe(self, candidate: Candidate) -> Recipe:
        """The recipe of a candidate."""
        data = {"version": 1, "model": self.header["model"], **recipe_data(candidate.genome)}
        return Recipe.from_dict(data, where=f"candidate {candidate.id}")

    @property
    def feasible(self) -> list[Candidate]:
        """Candidates with values, in id order."""
        return [c for _, c in sorted(self.candidates.items()) if c.status == "ok"]

    @property
    def contenders(self) -> list[Candidate]:
        """Feasible candidates that no race has stopped, in id order."""
        return [c for c in self.feasible if not c.stopped]

    @property
    def spent(self) -> float:
        """Forward equivalents executed by everything."""
        return self.other_cost + self.executed

    @property
    def nominal_spent(self) -> float:
        """What everything would have taken if nothing had been at hand already."""
        return self.other_nominal + self.nominal

    @property
    def planned(self) -> float:
        """Forward equivalents that a budget counts: every plan asked for, reference and teacher.

        Not what was executed, which is less after a resume: a budget ends a search at the same
        candidate however often it was interrupted.
        """
        return sum(self.overheads.values()) + self.nominal

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

    def _apply_ask(self, record: Record) -> None:
        required = ("id", "kind", "name", "genome", "identity", "nominal", "duplicates", "told")
        optional = tuple(key for key in ("point", "foreign", "once") if key in record)
        candidate = Candidate(**{key: record[key] for key in required + optional})
        self.candidates[candidate.id] = candidate
        self.nominal += candidate.nominal
        self.duplicates += candidate.duplicates

    def _apply_result(self, record: Record) -> None:
        candidate = self.candidates[record["id"]]
        candidate.status = record["status"]
        candidate.reason = record["reason"]
        candidate.values = estimates_from_record(record["values"])
        candidate.samples = record["samples"]
        candidate.rungs = [estimates_from_record(values) for values in record.get("rungs", ())]
        candidate.saved = record.get("saved", 0.0)
        candidate.executed = record["forward_equivalents"]
        self.executed += candidate.executed
        candidate.seconds = record["seconds"]
        self.proposing += record.get("proposing", 0.0)

    def _apply_resume(self, record: Record) -> None:
        kept = {key: record[key] for key in ("experiment", "overrides")}
        self.header = {**self.header, **kept}
        self.__dict__.pop("experiment", None)

    def _apply_latency_table(self, record: Record) -> None:
        self.latency_table = record["table"]
        self._apply_cost({"what": "latency table", **record})

    def _apply_timing(self, record: Record) -> None:
        seconds = tuple(record["seconds"])
        self.timings[record["identity"]] = Estimate(sum(seconds) / len(seconds), seconds)
        self._spend(record)

    def _apply_starts(self, record: Record) -> None:
        self.warm_start = record["recipes"]

    def _apply_fit(self, record: Record) -> None:
        self.fits[record["name"]] = record
        self._apply_cost({"what": record["name"], **record})

    def _apply_reference(self, record: Record) -> None:
        self.reference = record
        self._apply_cost({"what": "reference", **record})

    def _apply_cost(self, record: Record) -> None:
        self._spend(record)
        self.overheads[record["what"]] = record["budgeted"]

    def _spend(self, record: Record) -> None:
        executed = record["forward_equivalents"]
        self.other_cost += executed
        self.other_nominal += max(record.get("nominal", record.get("budgeted", 0.0)), executed)

    def _apply_scale(self, record: Record) -> None:
        self.scale = record

    def _apply_validation(self, record: Record) -> None:
        noise = (record["seed"], record["samples"])
        validation = self.validations.pop(noise, {})
        validation[record["identity"]] = estimates_from_record(record["values"])
        self.validations[noise] = validation
        self._spend(record)

    def _apply_phase(self, record: Record) -> None:
        name = record["name"]
        self.phases[name] = self.phases.get(name, 0.0) + record["seconds"]

    def _apply_stop(self, record: Record) -> None:
        self.stops.append(record["reason"])


def estimates_to_record(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Estimates by objective as plain data for a journal's record."""
    return {
        name: {"value": estimate.value, "pseudo": list(estimate.pseudo)}
        for name, estimate in estimates.items()
    }


def estimates_from_record(data: Mapping[str, Any]) -> Estimates:
    """Estimates by objective from the plain data of :func:`estimates_to_record`."""
    return {name: Estimate(entry["value"], tuple(entry["pseudo"])) for name, entry in data.items()}
