"""What crosses the border to code of others: copies go out, and what comes back is checked."""

import math
import numbers
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from autosearch._typing import Rows
from autosearch.algorithms.base import Proposal
from autosearch.errors import FAILURES, Infeasible, PartFailed, UserError, described
from autosearch.objectives import Estimate, Objective
from autosearch.registry import part_of
from autosearch.study.events import LARGEST

__all__ = ["blame", "check_rows", "checked_estimate", "given_by", "plain_copy", "third_party"]

_SIMPLE = {int, str, bool, type(None)}


# What experiments call the kinds of parts, by the classes that they derive from.
_KINDS = {
    "Algorithm": "algorithm",
    "Denoiser": "denoiser",
    "Family": "space",
    "Form": "form",
    "Logger": "logger",
    "Model": "model",
    "NoiseSchedule": "schedule",
    "Objective": "objective",
    "Reward": "reward",
}


@contextmanager
def third_party(kind: str, part: object) -> Iterator[None]:
    """Turn an exception of somebody else's code, or its exit, into one line with its name.

    That is the part's own, or of another that it uses, such as the space of an algorithm. Errors
    of this project's parts come through: they are faults of the program.

    Args:
        kind: what the part is to the search, such as ``algorithm``.
        part: the object whose code runs in the body.

    Raises:
        PartFailed: for what the part raised.
    """
    try:
        yield
    except (UserError, Infeasible):
        raise
    except FAILURES as error:
        blamed = blame(error) if _is_ours(part) else _blamed(error, kind, part)
        if blamed is None:
            raise
        raise blamed from error


@contextmanager
def given_by(parts: Iterable[tuple[str, object]], what: str) -> Iterator[None]:
    """Name somebody else's parts where this project refuses what they made.

    Args:
        parts: whose work it may be: what each is to the search, such as ``algorithm``, and the
            object. This project's own are not suspected.
        what: they made, such as ``proposal``.

    Raises:
        PartFailed: for whatever is raised in the body, but for a mistake of the user's that a part
            tells itself. Without a part of somebody else's, errors come through.
    """
    try:
        yield
    except PartFailed:
        raise
    except FAILURES as error:
        others = " or ".join(_named(kind, part) for kind, part in parts if not _is_ours(part))
        refused, blamed = _raised_here(error), None
        if isinstance(error, UserError) and not refused:
            raise
        if not refused:
            blamed = blame(error)
        if blamed is None and others:
            fault = f"a {what} that is none: " if refused else ""
            blamed = PartFailed(f"{others}: {fault}{described(error)}; tell its author")
        if blamed is None:
            raise
        raise blamed from error


def _raised_here(error: BaseException) -> bool:
    """Whether the line that raised an error is this project's."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return _is_own(str(frame.f_globals.get("__name__")))


def blame(error: BaseException) -> PartFailed | None:
    """One line with the name of somebody else's part that raised an error; None where none did.

    Such a part is an object of a class that derives from one of this project's and is not of this
    project, in whose method the error was raised or passed through; or one that an entry point
    names, in whose module that was.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
        kind = owner if isinstance(owner, type) else type(owner)
        ours = [one.__name__ for one in kind.__mro__ if _is_ours(one)]
        base = next((name for name in ours if name in _KINDS), None)
        if base is not None and not _is_ours(kind):
            return _blamed(error, _KINDS[base], owner)
        loaded = part_of(str(frame.f_globals.get("__name__")))
        if loaded is not None:
            return _blamed(error, *loaded)
    return None


def _is_ours(part: object) -> bool:
    """Whether a class, or that of an object, is this project's."""
    return _is_own((part if isinstance(part, type) else type(part)).__module__)


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == "autosearch"


def _blamed(error: BaseException, kind: str, part: object) -> PartFailed:
    return PartFailed(f"{_named(kind, part)}: {described(error)}; tell its author")


def _named(kind: str, part: object) -> str:
    name = getattr(part, "name", getattr(part, "__name__", type(part).__name__))
    return f"{kind} {name!r}"


def checked_estimate(objective: Objective, estimate: object, samples: int = 0) -> Estimate:
    """What an objective returned, in Python's own numbers.

    ``samples``: how many it is of; one that declares shares need not say so itself.

    Raises:
        PartFailed: for anything but an estimate.
        Infeasible: for an estimate that is not finite.
    """
    if not isinstance(estimate, Estimate):
        raise PartFailed(
            f"objective {objective.name!r} returned {type(estimate).__name__} where an Estimate is "
            "due; tell its author"
        )
    try:
        value, *pseudo = map(_number, (estimate.value, *estimate.pseudo))
        residuals = tuple(map(_number, estimate.residuals))
    except (TypeError, OverflowError):
        raise PartFailed(
            f"objective {objective.name!r} returned an estimate that is no number; tell its author"
        ) from None
    if not all(abs(one) <= LARGEST for one in (value, *pseudo, *residuals)):  # false for NaN too
        raise Infeasible(f"{objective.name} is not finite")
    if not objective.share:
        return Estimate(value, tuple(pseudo), residuals=residuals)
    if not 0 <= value <= 1:
        raise PartFailed(
            f"objective {objective.name!r} returned {value:g} where a share from 0 to 1 is due; "
            "tell its author"
        )
    return Estimate(value, tuple(pseudo), estimate.trials or samples)


def _number(value: object) -> float:
    if not isinstance(value, numbers.Real):
        raise TypeError
    return float(value)


def check_rows(rows: Rows, samples: int) -> None:
    """Refuse rows that are not one for each sample, such as a model of one's own may return.

    Raises:
        PartFailed: naming them.
    """
    for name, array in rows.items():
        data = np.asarray(array)
        if data.dtype.kind not in "fiub":
            raise PartFailed(f"model: its {name!r} are of type {data.dtype}; give numbers")
        if name != "latency" and data.shape[:1] != (samples,):
            raise PartFailed(
                f"model: its {name!r} are of shape {list(data.shape)} for {samples} samples"
            )


def plain_copy(proposal: Proposal) -> Proposal:
    """A proposal of its own, in plain data, whatever becomes of the one given.

    Raises:
        UserError: for what a journal cannot hold, with its place.
    """
    point = None if proposal.point is None else _plain_mapping(proposal.point, "point")
    return Proposal(_plain_mapping(proposal.genome, "genome"), point)


def _plain_mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"a proposal's {name} is of type {type(value).__name__}, no mapping")
    plain: dict[str, Any] = _plain(value, (name,))
    return plain


def _plain(value: Any, place: tuple[object, ...]) -> Any:
    kind = type(value)
    if (kind is float and math.isfinite(value)) or kind in _SIMPLE:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): _plain(inner, (place, key)) for key, inner in value.items()}
    if kind is list or isinstance(value, (tuple, np.ndarray)):
        return [_plain(inner, (place, i)) for i, inner in enumerate(value)]
    if isinstance(value, np.generic):
        return _plain(value.item(), place)
    what = f"{value}; numbers have to be finite" if kind is float else f"of type {kind.__name__}"
    raise UserError(f"a proposal's {_dotted(place)} is {what}")


def _dotted(place: object) -> str:
    return ".".join(map(_dotted, place)) if isinstance(place, tuple) else str(place)
