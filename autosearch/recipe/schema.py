"""What all parts of a recipe have in common: strict models, and numbers of nine digits."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Strict", "round_float", "round_numbers"]


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
