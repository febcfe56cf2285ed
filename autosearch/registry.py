"""Names to things: a list of built-in classes, and third parties' through entry points."""

import functools
import inspect
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from autosearch.errors import FAILURES, UserError, one_line, plain_reason, unknown_name

__all__ = ["Registry", "construct", "switch_taken_for_number"]

_log = logging.getLogger(__name__)


class Registry:
    """The classes of one kind by their ``name``.

    A package adds its own by an entry point. Its code runs when its name is asked for, or when all
    names are listed, and not before. One that cannot be loaded, or is no such class, is left out
    with a warning. What packages name is read once: a package that is installed while a process
    runs changes nothing for it.

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
        # What became of entry points: classes, or why there is none.
        self._loaded: dict[EntryPoint, type[Any] | str] = {}

    def table(self) -> dict[str, type[Any]]:
        """All classes by name; what cannot be loaded is left out with a warning."""
        classes = self._own()
        for name, entry in self._others().items():
            found = self._load(entry)
            if not isinstance(found, str):
                classes[name] = found
        return classes

    def find(self, name: str, *, where: str = "") -> type[Any]:
        """The class of a name.

        Raises:
            UserError: for an unknown name, with the nearest valid one, and for one that cannot be
                loaded.
        """
        own = self._own()
        if name in own:
            return own[name]
        others = self._others()
        if name not in others:
            raise unknown_name(self.kind, name, [*own, *others], where=where)
        found = self._load(others[name])
        if isinstance(found, str):
            place = f"{where}: " if where else ""
            raise UserError(f"{place}{self.kind} {name!r} {found}; mend or remove that package")
        return found

    def _own(self) -> dict[str, type[Any]]:
        return {cls.name: cls for cls in self.builtin}

    def _others(self) -> dict[str, EntryPoint]:
        """What packages name, but for names that are built in; the first of each name counts."""
        own, others = self._own(), dict[str, EntryPoint]()
        for group in self._groups:  # a package may stand in a group and in its alias
            for entry in _entry_points(group, tuple(sys.path)):
                if entry.name not in own:
                    others.setdefault(entry.name, entry)
                elif entry not in self._loaded:
                    self._refuse(entry, "has the name of a built-in one")
        return others

    def _load(self, entry: EntryPoint) -> type[Any] | str:
        """An entry point's class, or why it has none; found out once, and then said."""
        if entry not in self._loaded:
            found = self._class_of(entry)
            if isinstance(found, str):
                self._refuse(entry, found)
            else:
                self._loaded[entry] = found
        return self._loaded[entry]

    def _class_of(self, entry: EntryPoint) -> type[Any] | str:
        package = f"of package {entry.dist.name if entry.dist else '?'}"
        try:
            found = entry.load()
        except FAILURES as error:
            return one_line(f"{package} cannot be loaded: {type(error).__name__}: {error}")
        if not isinstance(found, type):
            return f"{package} is no class: {entry.value}"
        if getattr(found, "name", None) != entry.name:
            return f"{package} is a class of another name: {getattr(found, 'name', None)!r}"
        if not isinstance(getattr(found, "summary", None), str):
            return f"{package} has no summary: {entry.value}"
        return found

    def _refuse(self, entry: EntryPoint, reason: str) -> None:
        self._loaded[entry] = reason
        _log.warning("%s %r %s; left out", self.kind, entry.name, reason)


@functools.cache
def _entry_points(group: str, path: tuple[str, ...]) -> Sequence[EntryPoint]:
    """What packages on a path name; looking through them takes some 10 ms."""
    try:
        return tuple(entry_points(group=group))
    except Exception:  # one damaged file among all packages' breaks them all
        return tuple(_readable_entry_points(group))


def _readable_entry_points(group: str) -> Iterable[EntryPoint]:
    """The same package by package, without those whose list cannot be read."""
    for distribution in distributions():
        try:
            named = distribution.entry_points.select(group=group)
        except Exception as error:
            _log.warning("%s: its entry points cannot be read: %s", distribution, one_line(error))
            continue
        yield from named


def construct(
    function: Any, settings: Mapping[str, Any], *args: Any, where: str, **given: Any
) -> Any:
    """Call with a user's settings, converted to the types that the function declares.

    Text such as ``"1e-3"`` becomes the number that it stands for, a list the tuple that is due;
    a wrong, missing or unknown setting is the user's mistake, not ours.

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
        name: parameter
        for name, parameter in _signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in given
    }
    values = {}
    for key, value in settings.items():
        if key not in parameters:
            raise unknown_name("key", str(key), parameters, where=where)
        values[key] = _converted(value, parameters[key].annotation, where=f"{where}.{key}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in values:
            raise UserError(f"{where}: key {name!r} is missing")
    return function(*args, **given, **values)


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:  # types that are imported for type checkers only
        return inspect.signature(function)


def _converted(value: Any, annotation: Any, *, where: str) -> Any:
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return value
    try:
        converted = _adapter(annotation).validate_python(value)
    except ValidationError as error:
        detail = error.errors()[0]
        inside = "".join(f"[{part}]" for part in detail["loc"] if isinstance(part, int))
        raise UserError(f"{where}{inside}: {plain_reason(detail)}") from None
    if switch_taken_for_number(value, converted):
        raise UserError(f"{where}: expected a number, got {value!r}")
    return converted


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a class with a configuration of its own
        return TypeAdapter(annotation)


def switch_taken_for_number(value: Any, converted: Any) -> bool:
    """Whether ``true`` or ``false`` stood somewhere where a number is due."""
    if isinstance(value, bool):
        return isinstance(converted, int | float) and not isinstance(converted, bool)
    if isinstance(value, Mapping) and isinstance(converted, Mapping):
        return any(
            switch_taken_for_number(inner, converted.get(key)) for key, inner in value.items()
        )
    if isinstance(value, list | tuple) and isinstance(converted, list | tuple):
        return any(map(switch_taken_for_number, value, converted))
    return False
