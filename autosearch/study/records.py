"""What the records of a journal must hold, checked when a study is read.

A record's own checksum says that nobody changed it since it was written, not that this release
understands it. Keys that are not named here may be there.
"""

from collections.abc import Mapping, Set
from typing import Annotated, Any, Literal, NotRequired, Protocol

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

__all__ = ["fault", "misplaced"]

# Squares and sums of what is measured stay finite.
_LARGEST = 1e150

Number = Annotated[FiniteFloat, Field(ge=-_LARGEST, le=_LARGEST)]
Amount = Annotated[FiniteFloat, Field(ge=0, le=_LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[FiniteFloat, Field(gt=0, le=_LARGEST)]


class _Estimate(TypedDict):
    value: Number
    pseudo: list[Number]


class _Axis(TypedDict):
    zero: Number
    one: Number
    log: bool
    floor: NotRequired[Positive]


class _Table(TypedDict):
    evaluation: Amount
    branch: Amount
    sites: dict[str, Any]
    features: dict[str, Any]


_Estimates = dict[str, _Estimate]


class _Header(TypedDict):
    name: str
    model_name: str
    model: dict[str, Any]
    experiment: dict[str, Any]
    overrides: list[str]


class _Ask(TypedDict):
    id: Count
    kind: Literal["baseline", "init", "search"]
    name: str | None
    genome: dict[str, Any]
    identity: str
    nominal: Amount
    duplicates: Count
    told: Count
    point: NotRequired[dict[str, Any] | None]
    foreign: NotRequired[bool]
    once: NotRequired[Amount]


class _Result(TypedDict):
    id: Count
    status: Literal["ok", "infeasible"]
    reason: str | None
    values: _Estimates
    samples: Count
    forward_equivalents: Amount
    seconds: Amount
    rungs: NotRequired[list[_Estimates]]
    saved: NotRequired[Share]
    proposing: NotRequired[Amount]
    worker: NotRequired[str]


class _Resume(TypedDict):
    experiment: dict[str, Any]
    overrides: list[str]


class _LatencyTable(TypedDict):
    table: _Table
    forward_equivalents: Amount
    budgeted: Amount


class _Timing(TypedDict):
    identity: str
    seconds: Annotated[list[Positive], Field(min_length=1)]
    forward_equivalents: Amount


class _WarmStart(TypedDict):
    recipes: dict[str, dict[str, Any]]


class _Fit(TypedDict):
    name: str
    recipe: dict[str, Any] | None
    reason: str | None
    forward_equivalents: Amount
    budgeted: Amount


class _Reference(TypedDict):
    recipe: str
    source: str
    samples: Count
    values: _Estimates
    forward_equivalents: Amount
    budgeted: Amount


class _Cost(TypedDict):
    what: str
    forward_equivalents: Amount
    budgeted: Amount
    nominal: NotRequired[Amount]


class _Scale(TypedDict):
    axes: dict[str, _Axis]


class _Validation(TypedDict):
    id: Count
    identity: str
    seed: Count
    samples: Count
    values: _Estimates
    forward_equivalents: Amount
    nominal: NotRequired[Amount]


class _Phase(TypedDict):
    name: str
    seconds: Amount


class _Stop(TypedDict):
    reason: str


_KINDS: Mapping[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for name, kind in {
        "header": _Header,
        "ask": _Ask,
        "result": _Result,
        "resume": _Resume,
        "latency_table": _LatencyTable,
        "timing": _Timing,
        "starts": _WarmStart,
        "fit": _Fit,
        "reference": _Reference,
        "cost": _Cost,
        "scale": _Scale,
        "validation": _Validation,
        "phase": _Phase,
        "stop": _Stop,
    }.items()
}


def fault(record: Mapping[str, Any]) -> str | None:
    """What is wrong with a record in a few words, None for nothing; an unknown type is skipped."""
    adapter = _KINDS.get(record["type"])
    if adapter is None:
        return None
    try:
        adapter.validate_python(record, strict=True)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in detail["loc"])
        return f"{record['type']}: {place}: {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return None


class _Asked(Protocol):
    @property
    def finished(self) -> bool: ...


def misplaced(
    record: Mapping[str, Any], candidates: Mapping[int, _Asked], objectives: Set[str]
) -> str | None:
    """Why a record without fault cannot follow the records before it, None where it can.

    Args:
        record: the next one.
        candidates: the candidates that were asked for before, by id.
        objectives: the study's, of which a measurement has all.
    """
    kind, number = record["type"], record.get("id")
    reason = None
    if kind == "ask" and number != len(candidates):
        reason = f"candidate {number} where {len(candidates)} is due"
    elif kind == "ask" and record["told"] > record["id"]:
        reason = f"candidate {number} knows {record['told']} results"
    elif kind in ("result", "validation"):
        reason = _misplaced_measurement(record, candidates, objectives)
    elif kind == "scale" and not objectives <= record["axes"].keys():
        reason = "an objective has no axis"
    return None if reason is None else f"{kind}: {reason}"


def _misplaced_measurement(
    record: Mapping[str, Any], candidates: Mapping[int, _Asked], objectives: Set[str]
) -> str | None:
    search = record["type"] == "result"
    candidate = candidates.get(record["id"])
    if candidate is None:
        return f"candidate {record['id']} was not asked for"
    if search and candidate.finished:
        return f"candidate {record['id']} has one already"
    measured = record["status"] == "ok" if search else record["values"]
    if measured and not objectives <= record["values"].keys():
        return "an objective has no value"
    return None
