"""Random harm to data and bytes, from a seed: for tests of whatever reads them."""

import copy
import json
import random
from typing import Any

__all__ = ["JUNK", "mutated", "mutated_bytes", "written"]

_DEEP: Any = []
for _ in range(60):
    _DEEP = [_DEEP]

# What does not belong where it is put, or does in some places only.
JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 100, 400, 10**9, 10**12, 10**30, -(10**30), 0.5, -0.5,
    1e-12, 1e12, 1e160, 1e308, float("nan"), float("inf"), "", " ", "x", "fid", "nfe", "mixture",
    "digits", "ddim", "ddim@5", "none", "clean", "1", "1e3", "a.b", "\u0000", "\ud800", "ß∂\n",
    "y" * 300, "-1", "../..", "/", [], {}, [[]], [1], [2, 3], [3, 2], ["x"], [None],
    {"name": "x"}, {"name": "random"}, {"min": 1}, {"max": -1}, {"x": {"y": 1}}, _DEEP,
)  # fmt: skip


def mutated(rng: random.Random, data: Any, times: int = 1) -> Any:
    """A copy with a few changes."""
    found = copy.deepcopy(data)
    for _ in range(times):
        found = _mutated_once(rng, found)
    return found


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    """A copy with a few bytes removed, repeated, changed or put in."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice([1, 1, 2, 5, 40]))
        how = rng.randrange(5)
        if how == 0:
            del found[at:end]
        elif how == 1:
            found[at:at] = found[at:end]
        elif how == 2:
            found[at:at] = rng.choice([b"\0", b"\xff", b"\n", b"{", b"]", b": ", b"- ", b"&a *a"])
        elif how == 3 and at < len(found):
            found[at] = rng.randrange(256)
        else:
            del found[at:]
    return bytes(found)


def _mutated_once(rng: random.Random, data: Any) -> Any:
    if not isinstance(data, (dict, list)) or not data or rng.random() < 0.02:
        return copy.deepcopy(rng.choice(JUNK))
    place, key = _place(rng, data)
    how = rng.randrange(6)
    if how == 0:
        del place[key]
    elif how == 1 and isinstance(place, dict):
        place[_misspelled(rng, str(key))] = place.pop(key)
    elif how == 2 and isinstance(place, list):
        place.insert(key, copy.deepcopy(place[rng.randrange(len(place))]))
    elif how == 3 and isinstance(place[key], (int, float)) and not isinstance(place[key], bool):
        place[key] = rng.choice([-1, 2, 10, 0.1, 1e9]) * place[key]
    elif how == 4 and isinstance(place, dict):
        place[rng.choice(["x", "name", "steps", "seed", "", key])] = rng.choice(JUNK)
    else:
        place[key] = copy.deepcopy(rng.choice(JUNK))
    return data


def _place(rng: random.Random, data: Any) -> tuple[Any, Any]:
    """A container inside the data and one of its keys."""
    while True:
        key = rng.choice(list(data) if isinstance(data, dict) else range(len(data)))
        inner = data[key]
        if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.2:
            return data, key
        data = inner


def _misspelled(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    return rng.choice([text[:at] + text[at + 1 :], text[:at] + "e" + text[at:], text.upper()])


def written(data: Any) -> str:
    """As YAML and JSON readers of Python take it, also what JSON does not have."""
    return (
        json.dumps(data, ensure_ascii=False)
        .encode("utf-8", "surrogatepass")
        .decode("utf-8", "replace")
    )
