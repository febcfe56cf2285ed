"""What all parts of a recipe have in common: strict models, and numbers of nine digits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Owned", "Owner", "Strict", "owned_fields", "round_float", "round_numbers"]

# Who decides a field of a step, and who carries it out: times and solver are a scheduler's, what
# concerns the network is not; corrections go beside either.
Owner = Literal["times", "solver", "correction", "network"]


@dataclass(frozen=True)
class Owned:
    """What a field of a step says of itself.

    Attributes:
        by: whose it is.
        lost: what lists call it that a list of noise levels with one solver's name cannot express,
            at any other value than the default; an empty text where that depends on more.
    """

    by: Owner
    lost: str = ""


class Strict(BaseModel):
    """A part of a recipe; unknown keys, wrong types and infinite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def round_float(value: float) -> float:
    """``value`` with 9 significant digits; minus zero is zero."""
    return float(f"{value:.9g}") + 0.0


def round_numbers(value: Any) -> Any:
    """Every number in plain data as a rounded float where it has a fraction, else as an int."""
    if isinstance(value, Mapping):
        return {str(k): round_numbers(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [round_numbers(v) for v in value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        short = round_float(value)
    except OverflowError:  # an integer beyond all floats, refused later
        return value
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def owned_fields(model: type[BaseModel], *owners: Owner) -> dict[str, Owned]:
    """The fields of a model that say whose they are, in their order; all of them without owners."""
    marks = {
        name: mark
        for name, info in model.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Owned)
    }
    return {name: mark for name, mark in marks.items() if not owners or mark.by in owners}
