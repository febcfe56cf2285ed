"""What a study says of its teacher's own error, and of who gets within it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autosearch.objectives.base import Estimate
from autosearch.study.events import TeacherMeasured
from autosearch.text import number

__all__ = ["limit", "teacher_data", "teacher_text", "within", "within_text"]

# Values up to so many times the teacher's own error, twice it as a root mean square, cannot be told
# apart.
_WITHIN = 4.0
_ROUNDING = 1e-9


def limit(error: float) -> float:
    """The least distance to the teacher that says something, given its own to the truth."""
    return _WITHIN * error


def within(errors: Mapping[str, float], values: Mapping[str, Estimate]) -> list[str]:
    """The objectives whose values are within the teacher's own error."""
    return [
        name
        for name, error in errors.items()
        if name in values and values[name].value <= limit(error) * (1 + _ROUNDING)
    ]


def teacher_data(teacher: TeacherMeasured, ids: Iterable[int]) -> dict[str, Any]:
    """A teacher as plain data; ``ids`` are those of the recipes within its error."""
    return {
        "recipe": teacher.recipe,
        "samples": teacher.samples,
        "errors": dict(teacher.errors),
        "within": list(ids),
    }


def teacher_text(recipe: str, errors: Mapping[str, float]) -> str:
    """A teacher's own error in a line."""
    each = ", ".join(f"{name} {number(error)}" for name, error in errors.items())
    return f"teacher {recipe}: its own error is {each}"


def within_text(names: Sequence[str]) -> list[str]:
    """A line that names the recipes within the teacher's own error; none for none."""
    if not names:
        return []
    return [f"within the teacher's own error, and not told apart by it: {', '.join(names)}"]
