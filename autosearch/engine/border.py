"""What crosses the border to code of others: copies go out, and what comes back is checked."""

import math
import numbers
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from autosearch._typing import Rows
from autosearch.algorithms.base import Proposal
from autosearch.errors import Infeasible, UserError, described
from autosearch.objectives import Estimate, Objective
from autosearch.study.events import LARGEST

__all__ = ["blame", "check_rows", "checked_estimate", "plain_copy", "third_party"]

_SIMPLE = {int, str, bool, type(None)}


# What experiments call the kinds of parts, by the classes that they derive from.
_KINDS = {
    "Algorithm": "algorithm",
    "Denoiser": "denoiser",
    "Family": "space",
    "Logger": "logger",
    "Model": "model",
    "NoiseSchedule": "schedule",
    "Objective": "objective",
    "Reward": "reward",
}


@contextmanager
def third_party(kind: str, part: object) -> Iterator[None]:
    """Turn an exception of somebody else's code into one line with its name.

    That is the part's own, or of another that it uses, such as the space of an algorithm. Errors
    of this project's parts come through: they are faults of the program.

    Args:
        kind: what the part is to the search, such as ``algorithm``.
        part: the object whose code runs in the body.
    """
    try:
        yield
    except (UserError, Infeasible):
        raise
    except Exception as error:
        blamed = blame(error) if _is_ours(type(part)) else _blamed(error, kind, part)
        if blamed is None:
            raise
        raise blamed from error


def blame(error: Exception) -> UserError | None:
    """One line with the name of somebody else's part that raised an error; None where none did.

    Such a part is an object of a class that derives from one of this project's and is not of this
    project, in whose method the error was raised or passed through.
    """
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = frame.f_locals.get("self", frame.f_locals.get("cls"))
        kind = owner if isinstance(owner, type) else type(owner)
        ours = [one.__name__ for one in kind.__mro__ if _is_ours(one)]
        base = next((name for name in ours if name in _KINDS), None)
        if base is not None and not _is_ours(kind):
            return _blamed(error, _KINDS[base], owner)
    return None


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "autosearch"


def _blamed(error: Exception, kind: str, part: object) -> UserError:
    name = getattr(part, "name", getattr(part, "__name__", type(part).__name__))
    return UserError(f"{kind} {name!r}: {described(error)}; tell its author")


def checked_estimate(objective: Objective, estimate: object, samples: int = 0) -> Estimate:
    """What an objective returned, in Python's own numbers.

    ``samples``: how many it is of; one that declares shares need not say so itself.

    Raises:
        UserError: for anything but an estimate.
        Infeasible: for an estimate that is not finite.
    """
    if not isinstance(estimate, Estimate):
        raise UserError(
            f"objective {objective.name!r} returned {type(estimate).__name__} where an Estimate is "
            "due; tell its author"
        )
    try:
        value, *pseudo = map(_number, (estimate.value, *estimate.pseudo))
        residuals = tuple(map(_number, estimate.residuals))
    except (TypeError, OverflowError):
        raise UserError(
            f"objective {objective.name!r} returned an estimate that is no number; tell its author"
        ) from None
    if not all(abs(one) <= LARGEST for one in (value, *pseudo, *residuals)):  # false for NaN too
        raise Infeasible(f"{objective.name} is not finite")
    if not objective.share:
        return Estimate(value, tuple(pseudo), residuals=residuals)
    if not 0 <= value <= 1:
        raise UserError(
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
        UserError: naming them.
    """
    for name, array in rows.items():
        data = np.asarray(array)
        if data.dtype.kind not in "fiub":
            raise UserError(f"model: its {name!r} are of type {data.dtype}; give numbers")
        if name != "latency" and data.shape[:1] != (samples,):
            raise UserError(
                f"model: its {name!r} are of shape {list(data.shape)} for {samples} samples"
            )


def plain_copy(proposal: Proposal) -> Proposal:
    """A proposal of its own, in plain data, whatever becomes of the one given.

    Raises:
        UserError: for what a journal cannot hold, with its place.
    """
    point = None if proposal.point is None else _plain(proposal.point, ("point",))
    return Proposal(_plain(proposal.genome, ("genome",)), point)


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
