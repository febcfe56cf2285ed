"""Where words go: results on standard output, everything else on standard error."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from autosearch.errors import UserError

__all__ = ["check_output", "note", "print_json", "print_text", "quiet_logging", "warn"]


def print_json(data: Any) -> None:
    """The one document of a command with ``--json``."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_text(text: str) -> None:
    """A result for people."""
    print(text.rstrip("\n"))


def note(text: str) -> None:
    """Progress or advice, one line on standard error."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """A warning, one line on standard error."""
    note(f"autosearch: warning: {text}")


def check_output(path: Path, *, option: str = "-o") -> None:
    """Refuse a place that cannot be written before any work is paid for.

    Raises:
        UserError: when it is a directory, or lies inside a file.
    """
    if path.is_dir():
        raise UserError(f"{option} {path}: is a directory; give the name of a file")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise UserError(f"{option} {path}: {existing} is not a directory; give another path")


class _Handler(logging.Handler):
    """Log records as warnings; looks standard error up each time, because displays replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def quiet_logging() -> None:
    """This package's warnings in one line each on standard error."""
    logger = logging.getLogger("autosearch")
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        logger.addHandler(_Handler(logging.WARNING))
        logger.propagate = False
