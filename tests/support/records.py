"""The journal of a study as its lines hold it."""

from pathlib import Path
from typing import Any

from autosearch.study.journal import read_journal

__all__ = ["read_records"]


def read_records(directory: Path) -> list[dict[str, Any]]:
    """The events of a study as plain data."""
    return [event.to_record() for event in read_journal(directory)]
