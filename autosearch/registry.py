"""Names to things: the built-in lists, and third parties through entry points.

A package adds its own by an entry point in one of the groups ``autosearch.models``,
``autosearch.spaces``, ``autosearch.objectives``, ``autosearch.algorithms`` and
``autosearch.callbacks``. They are resolved on the driver, when a name is looked up.
"""

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from pydantic import TypeAdapter, ValidationError

from autosearch import algorithms, models, objectives, spaces
from autosearch.errors import UserError, unknown_name
from autosearch.integrations import loggers as callbacks

__all__ = ["KINDS", "construct", "find", "table"]

KINDS: Mapping[str, Sequence[type[Any]]] = {
    "model": models.BUILTIN,
    "space": spaces.BUILTIN,
    "objective": objectives.BUILTIN,
    "algorithm": algorithms.BUILTIN,
    "callback": callbacks.BUILTIN,
}


def table(kind: str) -> dict[str, type[Any]]:
    """All classes of a kind by name; a third party's name may not hide a built-in one."""
    found = {cls.name: cls for cls in KINDS[kind]}
    for entry in _installed(f"autosearch.{kind}s", tuple(sys.path)):
        if entry.name in found:
            raise UserError(
                f"{kind} {entry.name!r} of package {entry.dist.name if entry.dist else '?'} has "
                "the name of a built-in one; rename it"
            )
        found[entry.name] = entry.load()
    return found


def find(kind: str, name: str, *, where: str = "") -> type[Any]:
    """The class of a name.

    Raises:
        UserError: for an unknown name, with the nearest valid one.
    """
    known = table(kind)
    if name not in known:
        raise unknown_name(kind, name, known, where=where)
    return known[name]


@functools.cache
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """What packages on a path name; looking through them takes some 10 ms."""
    return entry_points(group=group)


def construct(
    function: Any, settings: Mapping[str, Any], *args: Any, where: str, **given: Any
) -> Any:
    """Call with a user's settings; a wrong name or type is the user's mistake, not ours.

    Args:
        function: a class or function whose keyword-only parameters are the settings.
        settings: what the user wrote.
        where: the place in the experiment, for messages.
    """
    parameters = _settings_of(function, given)
    for key, value in settings.items():
        if key not in parameters:
            raise unknown_name("key", key, parameters, where=where)
        _check_type(value, parameters[key], f"{where}.{key}")
    return function(*args, **given, **settings)


def _settings_of(function: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    return {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in given
    }


def _check_type(value: Any, annotation: Any, where: str) -> None:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise UserError(f"{where}: {message[:1].lower()}{message[1:]}, got {value!r}") from None
