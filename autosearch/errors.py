"""The one exception that stands for a user's mistake, and help in naming the remedy."""

import contextlib
import difflib
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:  # every command imports this file, and hardly one needs pydantic to begin
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

__all__ = [
    "FAILURES",
    "ClusterLost",
    "Infeasible",
    "MeasurementFailed",
    "PartFailed",
    "Unmeasured",
    "UserError",
    "described",
    "located",
    "missing",
    "nearest",
    "one_line",
    "plain_reason",
    "shortened",
    "unknown_name",
    "validated",
]


# What somebody else's code may end in: anything, and a call of ``sys.exit``.
FAILURES: tuple[type[BaseException], ...] = (Exception, SystemExit)


class UserError(Exception):
    """A mistake in what the user gave: one clear line (what, where, remedy).

    Attributes:
        exit_code: of the command that it ends: 2 where what was given has to be changed, 1 where
            what was given is right and could not be done all the same.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class PartFailed(UserError):
    """Somebody else's part raised, or returned what it must not: an algorithm, a model, a logger.

    A part that finds a mistake in what the user gave it raises :class:`UserError` itself.
    """

    exit_code = 1


class Unmeasured(UserError):
    """Something that was asked for could not be measured, for no fault of the user's.

    Tried again, it may well succeed.
    """

    exit_code = 1


class ClusterLost(Unmeasured):
    """Ray has gone under a run and holds on to this process, which is to end at once."""


@contextlib.contextmanager
def located(place: str) -> Iterator[None]:
    """Name a place, such as a file, in front of every :class:`UserError` about what stands there.

    Args:
        place: what the user calls it; an empty one is left out, and so is one that is named.
    """
    try:
        yield
    except UserError as error:
        if place and not str(error).startswith(place):
            error.args = (f"{place}: {error}",)
        raise


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


def missing(error: ImportError, *, install: str, what: str) -> UserError:
    """The error for a package that could not be imported.

    Args:
        error: what the import raised.
        install: what pip installs to get it.
        what: which part of autosearch asks for it.
    """
    package = (error.name or "a package").partition(".")[0]
    return UserError(f"{what}: {package} is not installed; pip install '{install}'")


Model = TypeVar("Model", bound="BaseModel")

# What pydantic calls the alternatives of one key in a place's path.
_ALTERNATIVES = {"int", "float", "str", "constrained-int", "constrained-float"}
# What is meant to be a key and a value.
_NO_BLANK = re.compile(r"\w+:\S")
# What is due, in the words of YAML and not of Python, by the error that pydantic reports.
_DUE = {
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dataclass_type", "dict_type", "mapping_type"),
        "a mapping of keys",
    ),
    **dict.fromkeys(
        ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), "a list"
    ),
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "text"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"
    ),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "finite_number": "a finite number",
    "none_required": "nothing (null)",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt:.12g}",
    "greater_than_equal": "at least {ge:.12g}",
    "less_than": "less than {lt:.12g}",
    "less_than_equal": "at most {le:.12g}",
    "multiple_of": "a multiple of {multiple_of:.12g}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text that matches {pattern!r}",
    "path_type": "a path",
    "is_instance_of": "a {class}",
}
# The same of abstract classes, which have no error of their own.
_ABSTRACT = {"a Sequence": "a list", "a Mapping": "a mapping of keys"}
# What pydantic says of other types, up to what is due.
_INPUT = re.compile(r"^.*? (?:should (?:be|have)|is not) (an? )?(?:valid )?(?:python )?")


def validated(model: type[Model], data: object, *, where: str) -> Model:
    """``data`` as an instance of ``model``.

    Raises:
        UserError: naming ``where``, the path of the first offending key, and the remedy.
    """
    from pydantic import ValidationError

    if not isinstance(data, Mapping):
        raise UserError(f"{where}: expected a mapping of keys, got {type(data).__name__}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        detail = min(error.errors(), key=_priority)
        raise UserError(f"{where}: {_describe(model, detail)}") from None


def _priority(detail: "ErrorDetails") -> int:
    """An unknown key usually explains the missing one beside it, so it is named first.

    Of the alternatives of one key, its fixed words say least about a number.
    """
    if detail["type"] == "extra_forbidden":
        return 0
    return 2 if detail["type"] == "literal_error" and not isinstance(detail["input"], str) else 1


def _describe(model: "type[BaseModel]", detail: "ErrorDetails") -> str:
    path, valid = _place(model, detail["loc"])
    if detail["type"] == "extra_forbidden":
        key = str(detail["loc"][-1])
        close = nearest(key, valid)
        hint = f"did you mean {close!r}?" if close else f"valid: {', '.join(sorted(valid))}"
        return f"unknown key {path!r}; {hint}"
    if detail["type"] == "missing":
        return f"key {path!r} is missing"
    reason = plain_reason(detail)
    if detail["type"] == "model_type" and _NO_BLANK.match(str(detail["input"])):
        reason += "; a blank is missing after the colon"
    return f"{path}: {reason}" if path else reason


def plain_reason(detail: "ErrorDetails") -> str:
    """What pydantic finds wrong with a value: what is due, and what was given.

    Pydantic's own words name types of Python and classes of this project, of which somebody who
    writes YAML need not know.
    """
    kind = detail["type"]
    if kind == "missing":
        return "is missing"
    if kind in ("value_error", "assertion_error"):  # words of this project
        words = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{words[:1].lower()}{words[1:]}"
    if kind in _DUE:
        due = _DUE[kind].format(**detail.get("ctx", {}))
        due = _ABSTRACT.get(due, due)
    else:
        due = _INPUT.sub(r"\1", detail["msg"], count=1).partition(",")[0]
    return f"expected {due}, got {shortened(detail['input'])}"


def _place(model: "type[BaseModel]", location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """A place in nested models as text, and the keys that are valid there or beside it.

    The names that pydantic gives to a key's alternatives are left out.
    """
    text = ""
    current: Any = model
    valid: list[str] = []
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        own_name = _is_model(current) and part == current.__name__
        if own_name or part in _ALTERNATIVES or "[" in part:
            continue
        text += f".{part}" if text else part
        if _is_model(current):
            valid = list(current.model_fields)
            field = current.model_fields.get(part)
            current = _model_in(field.annotation) if field is not None else current
    return text, valid


def _is_model(value: object) -> bool:
    from pydantic import BaseModel

    return isinstance(value, type) and issubclass(value, BaseModel)


def _model_in(annotation: Any) -> Any:
    """The first model class inside an annotation such as ``list[Step] | None``."""
    if _is_model(annotation):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        model = _model_in(argument)
        if model is not None:
            return model
    return None


def shortened(value: object) -> str:
    """``repr(value)`` in at most 60 characters, for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def one_line(error: object) -> str:
    """An error's text, or another, in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


def described(error: BaseException) -> str:
    """An exception as one line: its class, its words, and the line of code that raised it."""
    if isinstance(error, UserError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {one_line(error)}{place}"


class Infeasible(Exception):
    """The plan cannot be measured, for a reason that is the plan's own.

    ``forward_equivalents``: what was executed until then, where that is known.
    """

    def __init__(self, reason: str = "", *, forward_equivalents: float | None = None) -> None:
        super().__init__(reason)
        self.forward_equivalents = forward_equivalents


class MeasurementFailed(Infeasible):
    """There is no measurement, for a reason that is not the plan's own: it may be tried again.

    A worker that died, a time limit, no memory, somebody's objective that raised.
    """
