"""Messages name the place and the remedy, in one line."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from autosearch.errors import UserError, nearest, shortened, unknown_name, validated


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
        ({"name": "a", "parts": [{"count": 0}]}, "x: parts[0].count: input should be greater"),
        ({"name": "a", "parts": [{"count": 0}]}, "than or equal to 1, got 0"),
    ],
)
def test_the_first_mistake_is_named(data: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        validated(Outer, data, where="x")
    assert message in str(caught.value)


def test_long_values_are_shortened() -> None:
    assert shortened("a") == "'a'"
    assert len(shortened("a" * 1000)) == 60
