"""What happens in a study: one frozen class per kind of line in its journal.

Fields are checked when an event is made and when one is read. A line's own checksum says that
nobody changed it since it was written, not that this release understands it. Keys that are not
named here may be there; a line of an unknown type is passed over.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from typing_extensions import TypedDict

from autosearch.errors import UserError, plain_reason, unknown_name
from autosearch.objectives.base import Estimate

__all__ = [
    "KINDS",
    "LARGEST",
    "Asked",
    "Broken",
    "Ended",
    "Estimates",
    "Evaluated",
    "Event",
    "Fitted",
    "Header",
    "LatencyMeasured",
    "Lost",
    "PhaseBegun",
    "PhaseEnded",
    "ReferenceMeasured",
    "Resumed",
    "ScaleAxis",
    "ScaleFixed",
    "Spent",
    "Status",
    "TeacherMeasured",
    "Timed",
    "Validated",
    "WarmStarted",
    "fault",
    "parse_event",
]

# Squares and sums of what is measured stay finite.
LARGEST = 1e150

Number = Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)]
Amount = Annotated[FiniteFloat, Field(ge=0, le=LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[FiniteFloat, Field(gt=0, le=LARGEST)]


def _bounded(estimates: dict[str, Estimate]) -> dict[str, Estimate]:
    for name, estimate in estimates.items():
        for value in (estimate.value, *estimate.pseudo, *estimate.residuals):
            if not -LARGEST <= value <= LARGEST:  # false for NaN too
                raise ValueError(f"{name} is not a finite number below {LARGEST:g}")
    return estimates


def _estimates_data(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {
        name: {
            "value": estimate.value,
            "pseudo": list(estimate.pseudo),
            **({"trials": estimate.trials} if estimate.trials else {}),
            **({"residuals": list(estimate.residuals)} if estimate.residuals else {}),
        }
        for name, estimate in estimates.items()
    }


Status = Literal["ok", "infeasible"]
Estimates = Annotated[
    dict[str, Estimate], AfterValidator(_bounded), PlainSerializer(_estimates_data)
]


class Event(BaseModel):
    """Something that happened in a study, as one line of its journal.

    Attributes:
        type: how a line names the kind of event.
        durable: whether the line should survive a loss of power.
    """

    model_config = ConfigDict(frozen=True, strict=True, protected_namespaces=())

    type: ClassVar[str]
    durable: ClassVar[bool] = False

    def to_record(self) -> dict[str, Any]:
        """Plain data with the event's type; fields at their defaults are left out."""
        return {"type": self.type, **self.model_dump(exclude_defaults=True)}


class Header(Event):
    """What a study is: its first event.

    Attributes:
        name: of the study.
        model_name: how the experiment calls the model.
        model: family, schedule, prediction and weights of the model.
        experiment: every key of the experiment, defaults written out.
        overrides: the ``key=value`` changes that made it.
        version: of autosearch.
        environment: versions and machine.
        baselines: the default list of names, where the experiment names none. Earlier releases
            recorded no list, and measured all there were.
    """

    type = "header"

    name: str
    model_name: str
    model: dict[str, Any]
    experiment: dict[str, Any]
    overrides: list[str]
    version: str = ""
    environment: dict[str, Any] = Field(default_factory=dict)
    baselines: list[str] | None = None


class Asked(Event):
    """A candidate was proposed.

    Attributes:
        id: its number, counted from 0.
        kind: a named baseline, what another search found (``init``), or the algorithm's own.
        name: of a baseline or of what another search found.
        genome: what the space's families chose.
        identity: hash of the plan.
        nominal: forward equivalents of all its samples.
        duplicates: proposals before it whose plans were known.
        told: how many results the algorithm knew.
        point: coordinates in the box, from an algorithm that works in one.
        foreign: a baseline that the space cannot express; no algorithm gets to see it.
        once: what of ``nominal`` is for training, whatever the number of samples.
    """

    type = "ask"

    id: Count
    kind: Literal["baseline", "init", "search"]
    name: str | None
    genome: dict[str, Any]
    identity: str
    nominal: Amount
    duplicates: Count
    told: Count
    point: dict[str, Any] | None = None
    foreign: bool = False
    once: Amount = 0.0


class Evaluated(Event):
    """A candidate has its result.

    Attributes:
        id: the candidate's number.
        status: whether it has values and breaks no constraint.
        reason: why it is infeasible.
        failed: whether the reason is the machinery's and not the candidate's own; a later result
            may take this one's place.
        values: estimates by objective.
        samples: of how many samples the values are.
        forward_equivalents: what was executed.
        seconds: of evaluation.
        rungs: estimates at the rungs before the last that it reached; None without racing.
        saved: the share of its samples that a decided race made needless.
        proposing: seconds that the algorithm took to propose it.
        elapsed: seconds of search until then, over all runs.
        worker: who evaluated it.
    """

    type = "result"
    durable = True

    id: Count
    status: Status
    reason: str | None
    values: Estimates
    samples: Count
    forward_equivalents: Amount
    seconds: Amount
    saved: Share = 0.0
    rungs: list[Estimates] | None = None
    proposing: Amount = 0.0
    elapsed: Amount = 0.0
    failed: bool = False
    worker: str = ""


class Resumed(Event):
    """The study goes on with another budget, other workers, validation or loggers."""

    type = "resume"

    experiment: dict[str, Any]
    overrides: list[str]


class Lost(Event):
    """The machinery failed: what was to be measured says nothing, and is tried again.

    Attributes:
        what: what was to come of it: a validation, a plan's timing, a fitted recipe.
        key: the plan's identity, or the name that was to be fitted.
        reason: a worker that died, a time limit, no memory, an exception.
        forward_equivalents: what was executed.
        seed: of a validation's noise.
        samples: of a validation.
    """

    type = "lost"

    what: Literal["validation", "timing", "fit"]
    key: str
    reason: str
    forward_equivalents: Amount
    seed: Count | None = None
    samples: Count | None = None


class Broken(Event):
    """A run ended by an error, or at once by a second interrupt; what was in flight is lost."""

    type = "error"

    reason: str


class Spent(Event):
    """Forward equivalents went into something other than candidates.

    Attributes:
        what: for what.
        forward_equivalents: what was executed.
        budgeted: what the search's budget counts.
        nominal: what it takes where nothing is at hand; by default what is budgeted.
    """

    type = "cost"

    what: str
    forward_equivalents: Amount
    budgeted: Amount
    nominal: Amount | None = None


class _Table(TypedDict):
    evaluation: Amount
    branch: Amount
    sites: dict[str, Any]
    features: dict[str, Any]


_TABLE: TypeAdapter[Any] = TypeAdapter(_Table)


class LatencyMeasured(Event):
    """Latencies are predicted from this table.

    ``table`` is the plain data of a
    :class:`~autosearch.diffusion.plan.latency_table.LatencyTable`.
    """

    type = "latency_table"

    table: Annotated[dict[str, Any], AfterValidator(_TABLE.validate_python)]
    forward_equivalents: Amount
    budgeted: Amount


class Timed(Event):
    """A plan was measured alone: ``seconds`` of one sample, for each run."""

    type = "timing"
    durable = True

    identity: str
    seconds: Annotated[list[Positive], Field(min_length=1)]
    forward_equivalents: Amount


class WarmStarted(Event):
    """Recipes that other searches found, by name, are candidates besides the baselines."""

    type = "starts"

    recipes: dict[str, dict[str, Any]]


class Fitted(Event):
    """A recipe was fitted to the model for a baseline's name, or could not be (``reason``)."""

    type = "fit"

    name: str
    recipe: dict[str, Any] | None
    reason: str | None
    forward_equivalents: Amount
    budgeted: Amount


class ReferenceMeasured(Event):
    """What the model reaches with many steps.

    Attributes:
        recipe: the baseline's name.
        source: ``measured``, or ``shipped`` with the model.
        samples: of how many samples the values are.
        seed: of their noise, where it is shipped.
        values: estimates by measured objective.
        forward_equivalents: what was executed.
        budgeted: what the search's budget counts.
    """

    type = "reference"

    recipe: str
    source: str
    samples: Count
    values: Estimates
    forward_equivalents: Amount
    budgeted: Amount
    seed: Count | None = None


class TeacherMeasured(Event):
    """The fine trajectory that candidates are held against, and its own distance to the truth.

    Attributes:
        recipe: its name.
        steps: how many it has.
        noise: whose noise it starts from.
        seed: of that noise.
        samples: on how many.
        errors: by objective.
    """

    type = "teacher"

    recipe: str
    steps: Count
    noise: Literal["search", "validation"]
    seed: Count
    samples: Count
    errors: dict[str, Amount]


class ScaleAxis(BaseModel):
    """Values of an objective that count as 0 and as 1 for the hypervolume.

    Attributes:
        zero: the value that counts as 0.
        one: the value that counts as 1.
        log: whether the axis is logarithmic between them.
        floor: the reference's standard error, below which values cannot be told apart.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    zero: Number
    one: Number
    log: bool
    floor: Positive | None = None

    @model_validator(mode="after")
    def _has_length(self) -> "ScaleAxis":
        if self.zero == self.one or (self.log and min(self.zero, self.one) <= 0):
            raise ValueError(f"from {self.zero} to {self.one} there is no axis")
        return self


class ScaleFixed(Event):
    """The axes of the hypervolume, by objective, are settled; the last baseline has a result."""

    type = "scale"

    axes: dict[str, ScaleAxis]


class Validated(Event):
    """A candidate was measured again on noise that the search never saw.

    ``values`` is empty where the candidate does not allow that (``reason``); ``nominal`` is what it
    takes where nothing is at hand.
    """

    type = "validation"
    durable = True

    id: Count
    identity: str
    seed: Count
    samples: Count
    values: Estimates
    forward_equivalents: Amount
    nominal: Amount | None = None
    reason: str | None = None


class PhaseBegun(Event):
    """A phase of a run begins, such as ``fits``; a run that goes on begins with ``resume``.

    ``environment``: what of versions and machine is another than before.
    """

    type = "begin"

    name: str
    environment: dict[str, str] = Field(default_factory=dict)


class PhaseEnded(Event):
    """A phase of a run took so many seconds."""

    type = "phase"

    name: str
    seconds: Amount


class Ended(Event):
    """The search has ended, and why."""

    type = "stop"

    reason: str


# Classes of events by what a journal calls them; other releases may have others.
KINDS: Mapping[str, type[Event]] = {kind.type: kind for kind in Event.__subclasses__()}


def parse_event(record: Mapping[str, Any]) -> Event:
    """The event of a record, as :meth:`Event.to_record` gives it.

    Raises:
        UserError: for what is none.
    """
    name = str(record.get("type"))
    if (kind := KINDS.get(name)) is None:
        raise unknown_name("event", name, KINDS)
    try:
        return kind.model_validate_json(json.dumps(record))
    except ValidationError as error:
        raise UserError(fault(error, name)) from None


def fault(error: ValidationError, name: str) -> str:
    """What is wrong with a line of the type ``name``, in a few words."""
    detail = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in detail["loc"])
    return f"{name}: {place}: {plain_reason(detail)}"
