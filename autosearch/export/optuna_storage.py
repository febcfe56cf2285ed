"""Where Optuna keeps studies: a database's URL, an SQLite file or a journal file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend, JournalStorage

from autosearch.errors import UserError

__all__ = ["open_storage", "storage_address"]

SQLITE = (".db", ".sqlite", ".sqlite3")
JOURNAL = (".log", ".journal")


def storage_address(place: str) -> str:
    """What to give other tools of Optuna: a URL, or the path of a journal.

    Args:
        place: a URL (it holds ``://``), or a path that ends in .db, .sqlite or .sqlite3 for a
            database and in .log or .journal for a journal.

    Raises:
        UserError: for a path with another ending.
    """
    if "://" in place or place.endswith(JOURNAL):
        return place
    if place.endswith(SQLITE):
        return str(sqlalchemy.URL.create("sqlite", database=place))
    endings = ", ".join((*SQLITE, *JOURNAL))
    raise UserError(
        f"storage {place}: end it with one of {endings}, or give a URL such as sqlite:///file.db"
    )


def open_storage(place: str) -> BaseStorage:
    """Open a storage, made anew where there is none.

    Args:
        place: see :func:`storage_address`.

    Raises:
        UserError: when it cannot be opened, in one line.
    """
    address = storage_address(place)
    try:
        if "://" not in place:
            Path(place).absolute().parent.mkdir(parents=True, exist_ok=True)
        if "://" not in address:
            return JournalStorage(JournalFileBackend(place))
        with _loggers_kept():
            return optuna.storages.get_storage(address)
    except (ImportError, OSError, ValueError, KeyError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise UserError(f"storage {place}: cannot be opened: {_reason(error)}") from None


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Undo what Optuna's database does on opening: it switches off all loggers that exist."""
    loggers = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, Logger)]
    switched_off = [one.disabled for one in loggers]
    try:
        yield
    finally:
        for one, off in zip(loggers, switched_off, strict=True):
            one.disabled = off


def _reason(error: Exception) -> str:
    """The first line of what went wrong below Optuna."""
    text = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
    lines = str(text).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
