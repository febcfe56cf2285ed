"""Messages name the place and the remedy, in one line."""

import datetime
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from autosearch.errors import (
    ClusterLost,
    PartFailed,
    Unmeasured,
    UserError,
    located,
    nearest,
    plain_reason,
    shortened,
    unknown_name,
    validated,
)


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: Annotated[int, Field(ge=1)] = 1
    path: Path | None = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    parts: list[Inner] | None = None


def test_messages_are_one_line() -> None:
    assert str(UserError("a\n  b\tc ")) == "a b c"


@pytest.mark.parametrize(
    ("name", "expected"), [("trailng", "trailing"), ("lead", "leading"), ("zzz", None), ("", None)]
)
def test_nearest(name: str, expected: str | None) -> None:
    assert nearest(name, ["leading", "trailing"]) == expected


def test_unknown_name_gives_the_nearest_or_the_list() -> None:
    close = unknown_name("grid", "trailng", ["leading", "trailing"], where="space")
    assert str(close) == "space: unknown grid 'trailng'; did you mean 'trailing'?"
    assert str(unknown_name("grid", "zzz", ["b", "a"])) == "unknown grid 'zzz'; valid: a, b"
    assert str(unknown_name("grid", "zzz", [])) == "unknown grid 'zzz'; valid: none"


def test_valid_data_become_the_model() -> None:
    found = validated(Outer, {"name": "a", "parts": [{"count": 3}]}, where="x")
    assert found.parts == [Inner(count=3)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "x: expected a mapping of keys, got list"),
        ({}, "x: key 'name' is missing"),
        ({"nmae": "a"}, "x: unknown key 'nmae'; did you mean 'name'?"),
        ({"name": "a", "zzz": 1}, "x: unknown key 'zzz'; valid: name, parts"),
        ({"name": "a", "parts": [{}, {"cuont": 1}]}, "unknown key 'parts[1].cuont'; did you mean"),
        ({"name": "a", "parts": [{"count": 0}]}, "x: parts[0].count: expected at least 1, got 0"),
        ({"name": "a", "parts": [3]}, "x: parts[0]: expected a mapping of keys, got 3"),
    ],
)
def test_the_first_mistake_is_named(data: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        validated(Outer, data, where="x")
    assert message in str(caught.value)


VALUES: list[tuple[Any, Any, str]] = [
    (int, "x", "a whole number"),
    (int, 1.5, "a whole number"),
    (int, None, "a whole number"),
    (float, "x", "a number"),
    (float, [], "a number"),
    (bool, "perhaps", "true or false"),
    (str, 3, "text"),
    (list[int], 3, "a list"),
    (tuple[int, int], "a", "a list"),
    (set[str], 3, "a list"),
    (Sequence[int], 3, "a list"),
    (dict[str, int], [], "a mapping of keys"),
    (Mapping[str, int], 3, "a mapping of keys"),
    (Inner, 3, "a mapping of keys"),
    (Literal["a", "b"], "c", "'a' or 'b'"),
    (None, 3, "nothing (null)"),
    (Annotated[int, Field(ge=2)], 1, "at least 2"),
    (Annotated[int, Field(le=10**9)], 10**10, "at most 1000000000"),
    (Annotated[float, Field(gt=0)], 0, "more than 0"),
    (Annotated[float, Field(lt=0.5)], 1, "less than 0.5"),
    (Annotated[int, Field(multiple_of=4)], 3, "a multiple of 4"),
    (Annotated[list[int], Field(min_length=1)], [], "at least 1 of them"),
    (Annotated[list[int], Field(max_length=1)], [1, 2], "at most 1 of them"),
    (Annotated[str, Field(min_length=2)], "a", "at least 2 characters"),
    (Annotated[str, Field(max_length=2)], "abc", "at most 2 characters"),
    (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "a finite number"),
]


@pytest.mark.parametrize(("kind", "value", "due"), VALUES)
def test_values_of_a_wrong_kind_are_told_in_plain_words(kind: Any, value: Any, due: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert plain_reason(caught.value.errors()[0]) == f"expected {due}, got {value!r}"


# Types of which a part of somebody else's may have settings.
OTHERS: list[tuple[Any, Any]] = [
    (Path, 3),
    (datetime.date, "x"),
    (bytes, 3),
    (Callable[[], int], 3),
    (np.ndarray, 3),
    (complex, "x"),
    (Annotated[str, Field(pattern="a+")], "b"),
    (uuid.UUID, "x"),
]


@pytest.mark.parametrize(("kind", "value"), OTHERS)
def test_what_is_said_of_any_other_type_has_none_of_pydantics_words(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    said = plain_reason(caught.value.errors()[0])
    assert said.startswith("expected ")
    assert f"got {value!r}" in said
    assert not re.search(r"input|should|valid |pydantic|dictionary|tuple", said, re.I)


def test_a_place_is_named_once_and_the_class_stays() -> None:
    for raised, said in (("a: b", "x.yaml: a: b"), ("x.yaml: a", "x.yaml: a")):
        with pytest.raises(Unmeasured) as caught, located("x.yaml"):
            raise Unmeasured(raised)
        assert str(caught.value) == said
    with pytest.raises(UserError, match=r"^a$"), located(""):
        raise UserError("a")


def test_exit_codes_tell_a_mistake_from_a_failure() -> None:
    codes = {kind: kind.exit_code for kind in (UserError, PartFailed, Unmeasured, ClusterLost)}
    assert codes == {UserError: 2, PartFailed: 1, Unmeasured: 1, ClusterLost: 1}


def test_long_values_are_shortened() -> None:
    assert shortened("a") == "'a'"
    assert len(shortened("a" * 1000)) == 60
