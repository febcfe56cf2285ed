"""The lines of a journal: how one is written, read and checked.

A line is a JSON object with the keys ``sum``, ``n``, ``study`` and ``record``: the CRC-32 of every
byte that follows it, the running number, the study's id and the record itself. So a damaged, lost,
repeated or foreign line is noticed.
"""

import gc
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from autosearch.errors import UserError

__all__ = ["VERSION", "Contents", "Record", "encode", "is_type", "load", "no_collection", "refusal"]

VERSION = 1

Record = dict[str, Any]

_PREFIX = b'{"sum":"'
_BODY = len(_PREFIX) + len('01234567",')  # where the bytes under the checksum begin


@dataclass
class Contents:
    """What a journal holds: ``size`` bytes of whole lines, then ``tail`` bytes without an end."""

    study: str = ""
    records: list[Record] = field(default_factory=list)
    size: int = 0
    tail: int = 0


def encode(record: Mapping[str, Any], number: int, study: str) -> bytes:
    """The line of a record as bytes, its checksum first and a newline last.

    Raises:
        ValueError: for NaN or an infinity.
    """
    text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    body = f'"n":{number},"study":"{study}","record":{text}}}\n'.encode("ascii")
    return b'%s%08x",%s' % (_PREFIX, zlib.crc32(body), body)


def load(path: Path) -> Contents:
    """Read and check the lines of a journal.

    Raises:
        UserError: when it cannot be read, has no header or is damaged, with the line's number.
    """
    contents = Contents()
    try:
        with path.open("rb") as file, no_collection():
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    contents.tail = len(line)
                    break
                try:
                    _take(contents, line, number)
                except ValueError as error:
                    raise _damaged(path, number, str(error)) from None
                if number == 0:
                    _check_version(path, contents.records[0])
    except OSError as error:
        raise refusal(path, "cannot read the journal", error) from None
    if not contents.records:
        raise UserError(f"{path}: holds no header line; start again with another --out")
    return contents


def is_type(value: object) -> bool:
    """Whether a value can be the ``type`` of a record."""
    return isinstance(value, str) and bool(value)


def refusal(path: Path, what: str, error: OSError) -> UserError:
    """The error for something that the file system does not allow."""
    reason = error.strerror or type(error).__name__
    return UserError(f"{path}: {what}: {reason}; check the path, its permissions and free space")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _decode(line: bytes) -> dict[str, Any]:
    """The parsed line, whose bytes equal what was written.

    Raises:
        ValueError: saying in a few words why it is none.
    """
    if line[: len(_PREFIX)] != _PREFIX or line[_BODY - 2 : _BODY] != b'",':
        raise ValueError("not a line of a journal")
    if line[len(_PREFIX) : _BODY - 2] != b"%08x" % zlib.crc32(line[_BODY:]):
        raise ValueError("damaged: the checksum does not match")
    try:
        data = _DECODER.decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None
    if list(data) != ["sum", "n", "study", "record"] or not isinstance(data["record"], dict):
        raise ValueError("not a line of a journal")
    return dict(data)


def _take(contents: Contents, line: bytes, number: int) -> None:
    """Add line ``number``, counted from 0.

    Raises:
        ValueError: when it is damaged or does not belong there.
    """
    data = _decode(line)
    record, kind = data["record"], data["record"].get("type")
    if not is_type(kind):
        raise ValueError("its record has no type")
    if number == 0:
        if kind != "header":
            raise ValueError("the first line is no header")
        contents.study = data["study"]
    elif data["study"] != contents.study:
        raise ValueError("belongs to another study")
    if data["n"] != number:
        raise ValueError(f"numbered {data['n']} where {number} is due: lines lost, moved or added")
    if number and kind == "header":
        raise ValueError("a second header")
    contents.records.append(record)
    contents.size += len(line)


def _check_version(path: Path, header: Record) -> None:
    version = header.get("journal")
    if version != VERSION:
        raise UserError(
            f"{path}, line 1: unknown journal version {version!r}, this release reads {VERSION}; "
            "use the release of autosearch that wrote it"
        )


def _damaged(path: Path, number: int, reason: str) -> UserError:
    remedy = (
        f"restore a copy, or cut the file to its first {number} lines and --resume from there"
        if number
        else "restore a copy, or start again with another --out"
    )
    return UserError(f"{path}, line {number + 1}: {reason}; {remedy}")


@contextmanager
def no_collection() -> Iterator[None]:
    """Switch garbage collection off in the body, as where much data without cycles is read."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
