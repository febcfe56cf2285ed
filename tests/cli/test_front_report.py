"""What is reported beside the objectives stands under the front's table."""

import copy
from collections.abc import Callable
from typing import Any

from autosearch.study.front import Front
from autosearch.study.front_text import front_text


def test_reported_values_stand_side_by_side(
    table: dict[str, Any], front_of: Callable[[dict[str, Any]], Front]
) -> None:
    changed = copy.deepcopy(table)
    for point in changed["points"]:
        point["values"] = {name: point["values"][name] for name in ("fid", "nfe")}
    assert "also measured" not in front_text(front_of(changed))
    for i, point in enumerate(changed["points"]):
        value = {"search": None, "validated": 0.5 + i / 100, "ci": [0.4, 0.9]}
        point["values"] |= {"precision": value, "recall": {**value, "validated": 0.25}}
    first = next(p for p in front_of(changed).front)
    lines = front_text(front_of(changed)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("also measured"))
    assert lines[at].split() == ["also", "measured", "precision", "recall"]
    assert lines[at + 1].split() == [first.name, f"{first.value('precision'):.3f}", "0.250"]
    rows = lines[at + 1 : at + 1 + len(front_of(changed).front)]
    assert len({len(line) for line in rows}) == 1
    assert lines[at + 1 + len(rows)] == ""
