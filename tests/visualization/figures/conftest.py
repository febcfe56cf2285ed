"""A front table with the numbers of a short search on digits."""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
def table() -> dict[str, Any]:
    return json.loads((DATA / "front_digits.json").read_text(encoding="utf-8"))
