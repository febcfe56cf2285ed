"""Names to things: a list of built-in classes, and third parties' through entry points."""

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from autosearch.errors import UserError, unknown_name

__all__ = ["Registry", "construct"]


class Registry:
    """The classes of one kind by their ``name``.

    A package adds its own by an entry point, which is loaded when a name is looked up.

    Args:
        kind: a noun, for messages; the group of entry points is ``autosearch.KINDs``.
        builtin: this project's own.
        aliases: groups of earlier versions that still count.
    """

    def __init__(
        self, kind: str, builtin: Sequence[type[Any]], *, aliases: Sequence[str] = ()
    ) -> None:
        self.kind = kind
        self.builtin = tuple(builtin)
        self._groups = (f"autosearch.{kind}s", *aliases)

    def table(self) -> dict[str, type[Any]]:
        """All classes by name; a third party's name may not hide a built-in one.

        Raises:
            UserError: when it does.
        """
        own = {cls.name: cls for cls in self.builtin}
        others: dict[str, type[Any]] = {}
        for group in self._groups:
            for entry in _entry_points(group, tuple(sys.path)):
                if entry.name in own:
                    raise UserError(
                        f"{self.kind} {entry.name!r} of package "
                        f"{entry.dist.name if entry.dist else '?'} has the name of a built-in "
                        "one; rename it"
                    )
                if entry.name not in others:  # a package may stand in a group and in its alias
                    others[entry.name] = entry.load()
        return own | others

    def find(self, name: str, *, where: str = "") -> type[Any]:
        """The class of a name.

        Raises:
            UserError: for an unknown name, with the nearest valid one.
        """
        classes = self.table()
        if name not in classes:
            raise unknown_name(self.kind, name, classes, where=where)
        return classes[name]


@functools.cache
def _entry_points(group: str, path: tuple[str, ...]) -> EntryPoints:
    """What packages on a path name; looking through them takes some 10 ms."""
    return entry_points(group=group)


def construct(
    function: Any, settings: Mapping[str, Any], *args: Any, where: str, **given: Any
) -> Any:
    """Call with a user's settings; a wrong name or type is the user's mistake, not ours.

    Args:
        function: a class or function whose keyword-only parameters are the settings.
        settings: what the user wrote.
        *args: handed on.
        where: the place in the experiment, for messages.
        **given: keyword arguments that are no settings.

    Raises:
        UserError: naming the key, and the nearest valid one or what is wrong with the value.
    """
    parameters = {
        name: parameter.annotation
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in given
    }
    for key, value in settings.items():
        if key not in parameters:
            raise unknown_name("key", key, parameters, where=where)
        try:
            TypeAdapter(parameters[key]).validate_python(value)
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            reason = f"{message[:1].lower()}{message[1:]}, got {value!r}"
            raise UserError(f"{where}.{key}: {reason}") from None
    return function(*args, **given, **settings)
