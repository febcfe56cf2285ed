"""From pydantic's report to one line that names the place and the remedy."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autosearch.errors import UserError, nearest

__all__ = ["shortened", "validated"]

Model = TypeVar("Model", bound=BaseModel)

# What pydantic calls the alternatives of one key in a place's path.
_ALTERNATIVES = {"int", "float", "str", "constrained-int", "constrained-float"}
# Where pydantic names its classes.
_MESSAGES = {"model_type": "input should be a mapping of keys"}


def validated(model: type[Model], data: object, *, where: str) -> Model:
    """``data`` as an instance of ``model``.

    Raises:
        UserError: naming ``where``, the path of the first offending key, and the remedy.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: expected a mapping of keys, got {type(data).__name__}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        detail = min(error.errors(), key=_priority)
        raise UserError(f"{where}: {_describe(model, detail)}") from None


def _priority(detail: ErrorDetails) -> int:
    """An unknown key usually explains the missing one beside it, so it is named first.

    Of the alternatives of one key, its fixed words say least about a number.
    """
    if detail["type"] == "extra_forbidden":
        return 0
    return 2 if detail["type"] == "literal_error" and not isinstance(detail["input"], str) else 1


def _describe(model: type[BaseModel], detail: ErrorDetails) -> str:
    path, valid = _place(model, detail["loc"])
    if detail["type"] == "extra_forbidden":
        key = str(detail["loc"][-1])
        close = nearest(key, valid)
        hint = f"did you mean {close!r}?" if close else f"valid: {', '.join(sorted(valid))}"
        return f"unknown key {path!r}; {hint}"
    if detail["type"] == "missing":
        return f"key {path!r} is missing"
    message = _MESSAGES.get(detail["type"], detail["msg"])
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    value = "" if detail["type"] == "value_error" else f", got {shortened(detail['input'])}"
    return f"{path}: {message[:1].lower()}{message[1:]}{value}" if path else message


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[str]]:
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
            found = current.model_fields.get(part)
            current = _model_in(found.annotation) if found is not None else current
    return text, valid


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _model_in(annotation: Any) -> Any:
    """The first model class inside an annotation such as ``list[Step] | None``."""
    if _is_model(annotation):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None


def shortened(value: object) -> str:
    """``repr(value)`` in at most 60 characters, for messages."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
