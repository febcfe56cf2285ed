"""Names to parts: built-in ones, and those of other packages through entry points."""

import functools
import inspect
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, distributions, entry_points
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from autosearch.errors import FAILURES, UserError, one_line, plain_reason, unknown_name

__all__ = ["Parts", "Registry", "construct", "part_of", "switch_taken_for_number"]

Part = TypeVar("Part")

_log = logging.getLogger(__name__)


class Parts(Mapping[str, Part]):
    """The parts of one kind by name: this project's own, and other packages' by entry points.

    Code of another package runs when the name of its part is asked for (``[name]``, :meth:`find`),
    or when all are gone through (iteration, ``len``, ``items``), and not before: ``in`` and
    :attr:`names` go by what packages say. A part that cannot be loaded, or is none of the kind, is
    left out with a warning; a built-in name is nobody else's. What packages name is read once: a
    package that is installed while a process runs changes nothing for it.

    Args:
        kind: a noun, for messages.
        builtin: this project's own, by name.
        expected: the class that parts are instances of.
        group: of entry points.
        aliases: groups of earlier versions that still count.
        beside: another kind that shares its namespace with this one: from now on the built-in names
            of either are nobody else's in both.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, Part],
        expected: type[Any],
        *,
        group: str,
        aliases: Sequence[str] = (),
        beside: "Parts[Any] | None" = None,
    ) -> None:
        self.kind = kind
        self._own = MappingProxyType(dict(builtin))
        self._expected = expected
        self._groups = (group, *aliases)
        self._sharing: list[Parts[Any]] = [self]
        if beside is not None:
            self._sharing.append(beside)
            beside._sharing.append(self)
        # What became of entry points: parts, or why there is none.
        self._loaded: dict[EntryPoint, Part] = {}
        self._refused: dict[EntryPoint, str] = {}

    @property
    def own(self) -> Mapping[str, Part]:
        """This project's own parts, by name."""
        return self._own

    @property
    def names(self) -> Sequence[str]:
        """All names, also of parts that may turn out not to load."""
        return [*self.own, *self._others()]

    def find(self, name: str, *, where: str = "") -> Part:
        """The part of a name.

        Raises:
            UserError: for an unknown name, with the nearest valid one, and for one that cannot be
                loaded.
        """
        if name in self.own:
            return self.own[name]
        others = self._others()
        if name not in others:
            raise unknown_name(self.kind, name, self.names, where=where)
        self._load(others[name])
        if others[name] in self._refused:
            place = f"{where}: " if where else ""
            reason = self._refused[others[name]]
            raise UserError(f"{place}{self.kind} {name!r} {reason}; mend or remove that package")
        return self._loaded[others[name]]

    def __getitem__(self, name: str) -> Part:
        if name not in self:
            raise KeyError(name)
        return self.find(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.own or name in self._others())

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        for name, entry in self._others().items():
            self._load(entry)
            if entry in self._loaded:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _others(self) -> dict[str, EntryPoint]:
        """What packages name, but for names that are taken; the first of each name counts."""
        others: dict[str, EntryPoint] = {}
        for group in self._groups:  # a package may stand in a group and in its alias
            for entry in _entry_points(group, tuple(sys.path)):
                if not any(entry.name in parts.own for parts in self._sharing):
                    others.setdefault(entry.name, entry)
                elif entry not in self._refused:
                    self._refuse(entry, "has the name of a built-in one")
        return others

    def _load(self, entry: EntryPoint) -> None:
        """Load an entry point's part, or find out why it has none; once, and then it is said."""
        if entry in self._loaded or entry in self._refused:
            return
        package = f"of package {entry.dist.name if entry.dist else '?'}"
        try:
            found = entry.load()
        except FAILURES as error:
            reason = one_line(f"{package} cannot be loaded: {type(error).__name__}: {error}")
            self._refuse(entry, reason)
            return
        problem = self._problem(found, entry)
        if problem is None:
            self._loaded[entry] = found
            _LOADED.setdefault(entry.module, []).append((self.kind, entry))
        else:
            self._refuse(entry, f"{package} {problem}")

    def _problem(self, found: Any, entry: EntryPoint) -> str | None:
        """Why an object is no part of the kind; None where it is one."""
        if not isinstance(found, self._expected):
            return f"is no {self._expected.__name__}: {entry.value}"
        if getattr(found, "name", entry.name) != entry.name:
            return f"has another name: {found.name!r}"
        return None

    def _refuse(self, entry: EntryPoint, reason: str) -> None:
        self._refused[entry] = reason
        _log.warning("%s %r %s; left out", self.kind, entry.name, reason)


class Registry(Parts[type[Any]]):
    """Classes of one kind by their ``name``, each with a ``summary`` of one line.

    Args:
        kind: a noun, for messages; the group of entry points is ``autosearch.KINDs``.
        builtin: this project's own.
        aliases: groups of earlier versions that still count.
    """

    def __init__(
        self, kind: str, builtin: Sequence[type[Any]], *, aliases: Sequence[str] = ()
    ) -> None:
        super().__init__(kind, {}, type, group=f"autosearch.{kind}s", aliases=aliases)
        self.builtin = tuple(builtin)

    @property
    def own(self) -> Mapping[str, type[Any]]:
        return {cls.name: cls for cls in self.builtin}

    def _problem(self, found: Any, entry: EntryPoint) -> str | None:
        if not isinstance(found, type):
            return f"is no class: {entry.value}"
        if getattr(found, "name", None) != entry.name:
            return f"is a class of another name: {getattr(found, 'name', None)!r}"
        if not isinstance(getattr(found, "summary", None), str):
            return f"has no summary: {entry.value}"
        return None


# Parts of other packages that were loaded, by the module that their entry points name.
_LOADED: dict[str, list[tuple[str, EntryPoint]]] = {}


def part_of(module: str) -> tuple[str, Any] | None:
    """The part of another package whose code a module is, once it is loaded.

    Returns:
        Its kind and its entry point; of a module with several parts, ``package`` and the package.
        Either has a ``name``. None for any other module.
    """
    found = _LOADED.get(module, [])
    if len({(kind, entry.name) for kind, entry in found}) > 1:
        return "package", found[0][1].dist
    return found[0] if found else None


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
