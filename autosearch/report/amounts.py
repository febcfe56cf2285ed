"""Numbers of a report: as everywhere, but large ones by their magnitude."""

from autosearch.front_view import number, with_error

__all__ = ["amount", "amount_with_error"]

_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def amount(value: float) -> str:
    """0.0369, 4, 103M."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return number(value)


def amount_with_error(value: float, half: float) -> str:
    """``0.023 ± 0.013``, ``36.0M ± 0.12M``; the value alone where it is exact."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            text = with_error(value / size, half / size) if half > 0 else f"{value / size:.4g}"
            return " ± ".join(f"{part}{suffix}" for part in text.split(" ± "))
    return with_error(value, half)
