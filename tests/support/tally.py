"""How many faults of each kind were injected, for the last lines of ``make soak``."""

from collections import Counter

__all__ = ["count", "lines"]

_injected: Counter[str] = Counter()


def count(kind: str, number: int = 1) -> None:
    """Note faults that were injected and came to what they should."""
    _injected[kind] += number


def lines() -> list[str]:
    """A line for each kind, such as ``     123 kills in process``; empty where there were none."""
    return [f"{number:8,} {kind}" for kind, number in sorted(_injected.items())]
