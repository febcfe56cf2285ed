"""Where words go: results on standard output, everything else on standard error."""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autosearch.errors import UserError
from autosearch.text import for_people

__all__ = [
    "INTERRUPTED",
    "STDOUT",
    "check_least",
    "check_output",
    "note",
    "print_json",
    "print_result",
    "print_text",
    "quiet_logging",
    "warn",
]

# The exit code of a command that was interrupted, whether it saved what it had or not.
INTERRUPTED = 130
# Where a file is due, what stands for standard output.
STDOUT = "-"


def print_json(data: Any) -> None:
    """Print the one document of a command with ``--json``."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_text(text: str) -> None:
    """Print a result as text for people."""
    print(for_people(text.rstrip("\n")))


def print_result(data: Any, text: Callable[[Any], str], *, as_json: bool) -> None:
    """Print a result as the one JSON document, or as the text that is made of it for people."""
    if as_json:
        print_json(data)
    else:
        print_text(text(data))


def note(text: str) -> None:
    """Print progress or advice, one line on standard error."""
    print(for_people(text), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning, one line on standard error."""
    note(f"autosearch: warning: {text}")


def check_least(option: str, value: float | None, least: int) -> None:
    """Refuse an option's number below the least that has a meaning.

    Raises:
        UserError: when it is below that.
    """
    if value is not None and value < least:
        remedy = f"at least {least}" if least else "0 or more"
        raise UserError(f"{option} {value}: use {remedy}")


def check_output(path: Path) -> None:
    """Refuse a place that cannot be written before any work is paid for.

    Raises:
        UserError: when it is a directory, lies inside a file, or stands for standard output.
    """
    if str(path) == STDOUT:
        raise UserError(
            f"-o {STDOUT}: only recipes that export writes go to standard output; give the name "
            "of a file"
        )
    if path.is_dir():
        raise UserError(f"-o {path}: is a directory; give the name of a file")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir():
        raise UserError(f"-o {path}: {existing} is not a directory; give another path")


class _Handler(logging.Handler):
    """Log records as warnings; looks standard error up each time, because displays replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


def quiet_logging() -> None:
    """Show this package's warnings in one line each on standard error."""
    logger = logging.getLogger("autosearch")
    if not any(isinstance(handler, _Handler) for handler in logger.handlers):
        logger.addHandler(_Handler(logging.WARNING))
        logger.propagate = False
