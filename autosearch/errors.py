"""The one exception that stands for a user's mistake, and help in naming the remedy."""

import difflib
from collections.abc import Iterable

__all__ = ["ClusterLost", "UserError", "nearest", "unknown_name"]


class UserError(Exception):
    """A mistake in what the user gave: one clear line (what, where, remedy), exit code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ClusterLost(UserError):
    """Who evaluates has gone, and holds on to this process: it is to end at once."""


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that looks most like ``name``, or None when none is close."""
    matches = difflib.get_close_matches(str(name), list(valid), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, valid: Iterable[str], *, where: str = "") -> UserError:
    """An error for a name that is not in a list, with the nearest one or the whole list."""
    names = sorted(str(v) for v in valid)
    close = nearest(name, names)
    hint = f"did you mean {close!r}?" if close else f"valid: {', '.join(names) or 'none'}"
    place = f"{where}: " if where else ""
    return UserError(f"{place}unknown {kind} {name!r}; {hint}")
